"""Spans and log records as objects of the OpenTelemetry SDK, for its exporters and processors.

Imported only when such an exporter is used: the default needs none of it.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from autoinstrument import __version__
from autoinstrument.export.logs import LogRecord
from autoinstrument.export.resource import SCOPE
from autoinstrument.export.span import Span

_SCOPE = InstrumentationScope(SCOPE, __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class _HashedOnce(Resource):
    """A resource of the SDK, which would be written as JSON for each span that is encoded."""

    def __init__(self, attributes: Mapping[str, str | int]) -> None:
        super().__init__(dict(attributes))
        self._known_hash = super().__hash__()

    def __hash__(self) -> int:
        return self._known_hash


def make_resource(attributes: Mapping[str, str | int]) -> Resource:
    """Return the SDK's form of our resource, without asking its detectors."""
    return _HashedOnce(attributes)


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Return the SDK's form of a finished span."""
    attributes = dict(span.static.attributes)
    attributes.update(span.attributes)
    if span.trace.late:
        attributes["asyncscope.trace.partial"] = True
    trace_id = span.trace.trace_id
    parent = None
    if span.parent_id:
        parent = _context(trace_id, span.parent_id, is_remote=span.parent_is_remote)
    return ReadableSpan(
        name=span.static.name,
        context=_context(trace_id, span.span_id),
        parent=parent,
        resource=resource,
        attributes=attributes,
        events=[SdkEvent(e.name, dict(e.attributes), e.at_ns) for e in span.events or ()],
        links=[
            SdkLink(_context(x.trace_id, x.span_id), {"asyncscope.link.kind": x.kind})
            for x in span.links or ()
        ],
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=is_remote, trace_flags=_SAMPLED)


class LogConverter:
    """Turns log records into the SDK's, whose class differs from version to version.

    The SDK's own logger builds them; a processor of ours takes them out.
    """

    def __init__(self, resource: Resource, provider: Any = None) -> None:
        """Use the program's provider, whose processors export, or one that only collects."""
        from opentelemetry.sdk._logs import LoggerProvider  # metrics need none

        self._collected: list[Any] = []
        if provider is None:
            provider = LoggerProvider(resource, shutdown_on_exit=False)
            provider.add_log_record_processor(_Collect(self._collected))
        self._logger = provider.get_logger(SCOPE, __version__)

    def convert(self, records: Sequence[LogRecord]) -> list[Any]:
        """Emit the records; return the SDK's, if the provider is the one that collects."""
        for record in records:
            self._emit(record)
        found = list(self._collected)
        self._collected.clear()
        return found

    def _emit(self, record: LogRecord) -> None:
        from opentelemetry._logs import LogRecord as ApiRecord
        from opentelemetry._logs import SeverityNumber
        from opentelemetry.trace import (
            NonRecordingSpan,
            set_span_in_context,
        )

        span = NonRecordingSpan(_context(record.trace_id, record.span_id))
        facts: dict[str, Any] = {
            "timestamp": record.at_ns,
            "observed_timestamp": record.at_ns,
            "severity_text": record.severity_text,
            "severity_number": SeverityNumber(record.severity),
            "body": record.body,
            "attributes": dict(record.attributes),
            "event_name": record.event_name,
        }
        try:
            made = ApiRecord(context=set_span_in_context(span), **facts)
        except TypeError:  # before 1.35: three numbers instead of a context
            made = _old_record(record, facts)
        self._logger.emit(made)


def _old_record(record: LogRecord, facts: dict[str, Any]) -> Any:

    sdk_record: Any = import_module("opentelemetry.sdk._logs").LogRecord  # gone in newer versions
    name = facts.pop("event_name")
    facts["attributes"]["event.name"] = name
    return sdk_record(
        trace_id=record.trace_id or None,
        span_id=record.span_id or None,
        trace_flags=_SAMPLED,
        **facts,
    )


class _Collect:
    """A log record processor that keeps what it is given."""

    def __init__(self, into: list[Any]) -> None:
        self._into = into

    def on_emit(self, log_record: Any) -> None:
        self._into.append(log_record)

    emit = on_emit

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held."""
        return timeout_millis >= 0
