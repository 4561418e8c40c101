"""OTLP as JSON, written straight from spans and log records.

The format is that of `opentelemetry-proto` in its JSON mapping: lowerCamelCase keys, numbers of
traces and spans in hexadecimal, 64-bit integers as strings, enumerations as integers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, Final

from autoinstrument import __version__
from autoinstrument.export.logs import LogRecord
from autoinstrument.export.resource import SCOPE
from autoinstrument.export.span import Event, Span
from autoinstrument.export.statics import Attribute, Static, Value
from autoinstrument.export.traces import Link, Trace

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_KEYS: dict[str, str] = {}  # encoded beginnings of attributes; their names are a closed set
_FLAGS: Final = 0x101  # sampled; it is known whether the parent is remote
_REMOTE: Final = 0x200


def text(value: str) -> str:
    """Return a JSON string that every receiver accepts."""
    if not value.isascii() and _SURROGATES.search(value):
        value = _SURROGATES.sub("\ufffd", value)  # not UTF-8: protobuf receivers refuse it
    return _quote(value)


def encoded_start(key: str) -> str:
    """Return the beginning of an attribute."""
    start = f'{{"key":{text(key)},"value":{{"'
    if len(_KEYS) < 1000:
        _KEYS[key] = start
    return start


def attribute(key: str, value: Value) -> str:
    """Return one `KeyValue`."""
    start = _KEYS.get(key) or encoded_start(key)
    kind = type(value)
    if kind is bool:
        return f'{start}boolValue":{"true" if value else "false"}}}}}'
    if kind is int:
        return f'{start}intValue":"{value}"}}}}'
    if kind is float:
        return f'{start}doubleValue":{value!r}}}}}'
    return f'{start}stringValue":{text(str(value))}}}}}'


def attributes(pairs: Iterable[Attribute]) -> str:
    """Return the inside of a list of attributes."""
    return ",".join([attribute(key, value) for key, value in pairs])


def span(one: Span) -> str:
    """Return one span."""
    static = one.static
    place = one.place
    trace = place.trace
    head, constant, _ = static.encoded or encoded_static(static)
    parent = f'"parentSpanId":"{place.parent_id:016x}",' if place.parent_id else ""
    rest = ""
    if one.links:
        rest += f',"links":[{",".join([encoded_link(item) for item in one.links])}]'
    if one.events:
        rest += f',"events":[{",".join([_event(item) for item in one.events])}]'
    if one.error:
        rest += f',"status":{{"code":2,"message":{text(one.error)}}}'
    late = "," + attribute("asyncscope.trace.partial", True) if trace.late else ""
    return (
        f'{{"traceId":"{trace.hex or hex_of(trace)}","spanId":"{place.span_id:016x}",{parent}{head}'
        f'"startTimeUnixNano":"{one.start_ns}","endTimeUnixNano":"{one.end_ns}",'
        f'"flags":{_FLAGS | _REMOTE if place.parent_is_remote else _FLAGS},'
        f'"attributes":[{constant},{attributes(one.attributes)}{late}]{rest}}}'
    )


def hex_of(trace: Trace) -> str:
    """Return the number of a trace, and keep it there for the next span."""
    trace.hex = f"{trace.trace_id:032x}"
    return trace.hex


def encoded_static(static: Static) -> tuple[str, str, str]:
    """Return what spans of a kind share, and keep it there: name, attributes, and both for `plain`.

    The last is what stands around the value of the first other attribute.
    """
    head = f'"name":{text(static.name)},"kind":1,'
    constant = attributes(static.attributes)
    plain = ""
    if static.first:
        plain = f'"flags":{_FLAGS},"attributes":[{constant},{encoded_start(static.first)}intValue":'
    static.encoded = head, constant, plain
    return static.encoded


def encoded_link(link: Link) -> str:
    """Return one link."""
    return (
        f'{{"traceId":"{link.trace_id:032x}","spanId":"{link.span_id:016x}",'
        f'"flags":{_FLAGS},"attributes":[{attribute("asyncscope.link.kind", link.kind)}]}}'
    )


def _event(event: Event) -> str:
    return (
        f'{{"timeUnixNano":"{event.at_ns}","name":{text(event.name)},'
        f'"attributes":[{attributes(event.attributes)}]}}'
    )


def log_record(record: LogRecord) -> str:
    """Return one log record."""
    where = ""
    if record.trace_id:
        where = f'"traceId":"{record.trace_id:032x}","spanId":"{record.span_id:016x}","flags":1,'
    return (
        f'{{"timeUnixNano":"{record.at_ns}","observedTimeUnixNano":"{record.at_ns}",{where}'
        f'"severityNumber":{record.severity},"severityText":"{record.severity_text}",'
        f'"eventName":{text(record.event_name)},"body":{{"stringValue":{text(record.body)}}},'
        f'"attributes":[{attributes(record.attributes)}]}}'
    )


class Envelope:
    """Wraps encoded spans, log records or metrics in a request, with the resource around them."""

    def __init__(self, resource: Mapping[str, str | int]) -> None:
        """Encode the resource once."""
        self._resource = f'"resource":{{"attributes":[{attributes(resource.items())}]}}'
        self._scope = f'"scope":{{"name":"{SCOPE}","version":{text(__version__)}}}'

    def spans(self, encoded: Sequence[str]) -> bytes:
        """Return an `ExportTraceServiceRequest`."""
        return self._request("resourceSpans", "scopeSpans", "spans", encoded)

    def logs(self, encoded: Sequence[str]) -> bytes:
        """Return an `ExportLogsServiceRequest`."""
        return self._request("resourceLogs", "scopeLogs", "logRecords", encoded)

    def metrics(self, encoded: Sequence[str]) -> bytes:
        """Return an `ExportMetricsServiceRequest`."""
        return self._request("resourceMetrics", "scopeMetrics", "metrics", encoded)

    def _request(self, outer: str, middle: str, inner: str, encoded: Sequence[str]) -> bytes:
        body = (
            f'{{"{outer}":[{{{self._resource},"{middle}":[{{{self._scope},'
            f'"{inner}":[{",".join(encoded)}]}}]}}]}}'
        )
        return body.encode("ascii")


def metric(data: Any) -> str:
    """Return one metric of the SDK's `Metric` data."""
    kind = type(data.data).__name__
    points = ",".join(
        [_point(point, histogram=kind == "Histogram") for point in data.data.data_points]
    )
    inside = f'"dataPoints":[{points}]'
    if kind != "Gauge":
        inside += f',"aggregationTemporality":{int(data.data.aggregation_temporality)}'
    if kind == "Sum":
        inside += f',"isMonotonic":{"true" if data.data.is_monotonic else "false"}'
    return (
        f'{{"name":{text(data.name)},"description":{text(data.description or "")},'
        f'"unit":{text(data.unit or "")},"{kind[0].lower()}{kind[1:]}":{{{inside}}}}}'
    )


def _point(point: Any, *, histogram: bool) -> str:
    start = (
        f'"startTimeUnixNano":"{point.start_time_unix_nano}",' if point.start_time_unix_nano else ""
    )
    common = (
        f'{{{start}"timeUnixNano":"{point.time_unix_nano}",'
        f'"attributes":[{attributes((point.attributes or {}).items())}],'
    )
    if not histogram:
        value = point.value
        number = f'"asInt":"{value}"' if isinstance(value, int) else f'"asDouble":{value!r}'
        return f"{common}{number}}}"
    counts = ",".join([f'"{count}"' for count in point.bucket_counts])
    bounds = ",".join([repr(float(bound)) for bound in point.explicit_bounds])
    limits = f',"min":{float(point.min)!r},"max":{float(point.max)!r}' if point.count else ""
    return (
        f'{common}"count":"{point.count}","sum":{float(point.sum)!r}{limits},'
        f'"bucketCounts":[{counts}],"explicitBounds":[{bounds}]}}'
    )
