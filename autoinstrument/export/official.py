"""OTLP as protobuf, over HTTP or gRPC, by the official exporters; both are extras."""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from autoinstrument.export.logs import LogRecord
from autoinstrument.export.metrics import metrics_of
from autoinstrument.export.official_json import silent_logger
from autoinstrument.export.sdk import LogConverter, make_resource, readable
from autoinstrument.export.sender import Parcel, Sender
from autoinstrument.export.span import Span

_MODULES: Final = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}
_EXPORTERS: Final = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
_SPAN_BYTES: Final = 1_000  # about; bounds the queue
_MOST_SPANS: Final = 512


class OfficialTransport:
    """The official exporters, which encode, retry and read `OTEL_EXPORTER_OTLP_*` themselves."""

    def __init__(self, protocol: str) -> None:
        """Import them.

        Raises:
            ImportError: the extra is not installed.
        """
        self.name = protocol
        self._classes = {
            signal: getattr(import_module(f"{_MODULES[protocol]}.{module}"), name)
            for signal, (module, name) in _EXPORTERS.items()
        }
        self._exporters: dict[str, Any] = {}
        self._hurrying = False

    def send(self, signal: str, payload: Any, until: float) -> str:
        """Export; spans made by instrumented HTTP libraries meanwhile are suppressed."""
        from opentelemetry import context

        left_s = max(0.05, until - time.monotonic())
        exporter = self._exporters.get(signal)
        if exporter is None:
            exporter = self._exporters[signal] = self._make(signal)
        for part in _parts(exporter):
            if hasattr(part, "_timeout"):
                part._timeout = min(part._timeout, left_s)  # less than its own at exit only
        key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
        token = context.attach(context.set_value(key, True))
        try:
            result = exporter.export(payload)
        finally:
            context.detach(token)
        return "" if getattr(result, "name", "") == "SUCCESS" else f"{self.name} export failed"

    def _make(self, signal: str) -> Any:
        exporter = self._classes[signal]()
        for part in _parts(exporter):
            if hasattr(part, "_logger"):
                part._logger = silent_logger()  # failures are told once, by the sender
        if self._hurrying:
            _give_up_early(exporter)
        return exporter

    def hurry(self) -> None:
        """Make exporters give up after the attempt that runs."""
        self._hurrying = True
        for exporter in list(self._exporters.values()):
            _give_up_early(exporter)

    def close(self) -> None:
        """Shut the exporters down; others are made if there is more to send."""
        for exporter in self._exporters.values():
            exporter.shutdown()
        self._exporters.clear()


def _parts(exporter: Any) -> list[Any]:
    """Return the objects that hold an exporter's limits: itself, and its HTTP client since 0.66."""
    client = getattr(exporter, "_client", None)
    return [exporter] if client is None else [exporter, client]


def _give_up_early(exporter: Any) -> None:
    for part in _parts(exporter):
        for name in ("_shutdown_event", "_shutdown_in_progress", "_shutdown_is_occuring"):
            event = getattr(part, name, None)
            if event is not None:
                event.set()


class OfficialSink:
    """Spans, log records and metrics as the SDK's objects, sent by the official exporters."""

    name = "otlp"
    takes_json = False
    takes_sdk_metrics = True

    def __init__(
        self,
        protocol: str,
        resource: Mapping[str, str | int],
        say: Callable[[str], None],
        most_bytes: int,
    ) -> None:
        """Import the extra; `most_bytes` may wait to be sent.

        Raises:
            ImportError: it is not installed.
        """
        self._sender = Sender(OfficialTransport(protocol), say, most_bytes)
        self._resource = make_resource(resource)
        self._logs = LogConverter(self._resource)

    def load(self) -> None:
        """Everything is there: the constructor imported it."""

    def start(self) -> None:
        """Start the sending thread unless it runs."""
        self._sender.start()

    def pause(self) -> None:
        """End the sending thread."""
        self._sender.pause()

    def write(self, spans: Sequence[Span], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Convert and queue."""
        for start in range(0, len(spans), _MOST_SPANS):
            part = [readable(one, self._resource) for one in spans[start : start + _MOST_SPANS]]
            self._sender.put(Parcel("traces", part, len(part), len(part) * _SPAN_BYTES))
        if logs:
            made = self._logs.convert(logs)
            self._sender.put(Parcel("logs", made, len(made), len(made) * _SPAN_BYTES))
        count = len(metrics_of(metrics))
        if count:
            self._sender.put(Parcel("metrics", metrics, count, count * _SPAN_BYTES))

    def finish(self, deadline_s: float) -> None:
        """Wait for the queue."""
        self._sender.finish(deadline_s)

    def statistics(self) -> dict[str, int]:
        """Return the sender's counts."""
        sender = self._sender
        return {
            "exported": sender.exported,
            "dropped.queue": sender.dropped,
            "failed": sender.failed,
        }
