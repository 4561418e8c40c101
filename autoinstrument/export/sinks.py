"""Where spans, log records and metrics go: OTLP, a file, stderr, or the program's providers."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Protocol

from autoinstrument._boot.say import put
from autoinstrument.export import files, otlp
from autoinstrument.export.batch import ExportSettings
from autoinstrument.export.logs import LogRecord
from autoinstrument.export.metrics import metrics_of, program_logger_provider
from autoinstrument.export.sender import Parcel, Sender
from autoinstrument.export.slices import slices
from autoinstrument.export.span import Ready, Span
from autoinstrument.export.trace_settings import SDK_PROTOCOLS
from autoinstrument.export.transport import Variables, json_transport

Say = Callable[[str], None]

_MOST_SPANS: Final = 512  # in one request
_MOST_FILE_BYTES: Final = 1 << 30


class Sink(Protocol):
    """One destination."""

    name: str
    takes_json: bool
    """Whether spans may come as JSON."""
    takes_sdk_metrics: bool
    """Whether metrics have to be the SDK's data; others read ours, which need no SDK."""

    def load(self) -> None:
        """Load the libraries that are needed, so that nothing is imported later."""

    def start(self) -> None:
        """Be ready to send in the background; called with each batch, not at exit."""

    def pause(self) -> None:
        """Have no thread: the process forks."""

    def write(self, spans: Sequence[Any], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Take a batch; returns at once. `metrics` is metrics data or None."""

    def finish(self, deadline_s: float) -> None:
        """Let go of everything within the deadline."""

    def statistics(self) -> dict[str, int]:
        """Return counts of `exported`, `dropped` and `failed` items."""


def make_sink(
    name: str,
    settings: ExportSettings,
    environ: Mapping[str, str],
    resource: Mapping[str, str | int],
    say: Say,
) -> Sink | None:
    """Return the sink of a name; None, after a line, when it cannot be had."""
    if name == "file":
        return FileSink(settings.file or f"asyncscope-{os.getpid()}.jsonl", resource, say)
    if name == "console":
        return ConsoleSink()
    if name == "provider":
        return ProviderSink(resource, say)
    if name == "otlp":
        return _otlp_sink(settings, environ, resource, say)
    say(f"exporter {name} is not known; accepted are otlp, file, console, provider, none")
    return None


def _otlp_sink(
    settings: ExportSettings,
    environ: Mapping[str, str],
    resource: Mapping[str, str | int],
    say: Say,
) -> Sink | None:
    most_bytes = settings.most_queued_bytes
    variables = Variables(environ, say)
    protocol = variables.get("traces", "PROTOCOL").lower() or "http/json"
    if protocol in SDK_PROTOCOLS:
        try:
            from autoinstrument.export.official import OfficialSink  # an extra

            return OfficialSink(protocol, resource, say, most_bytes)
        except ImportError:
            trouble = f"needs: pip install 'asyncscope[{SDK_PROTOCOLS[protocol]}]'"
        except RuntimeError:  # the SDK uses a thread pool while it is imported
            trouble = "cannot be loaded any more at the end of the program"
        instead = "nothing is sent" if protocol == "grpc" else "http/json is used instead"
        say(f"OTLP over {protocol} {trouble}; {instead}")
        if protocol == "grpc":
            return None
    elif protocol != "http/json":
        say(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not known; accepted are http/json, "
            "http/protobuf, grpc; using http/json"
        )
    return JsonSink(Sender(json_transport(environ, say), say, most_bytes), resource)


class JsonSink:
    """OTLP over HTTP as JSON."""

    name = "otlp"
    takes_json = True
    takes_sdk_metrics = False

    def __init__(self, sender: Sender, resource: Mapping[str, str | int]) -> None:
        """Send through `sender`."""
        self._sender = sender
        self._envelope = otlp.Envelope(resource)

    def load(self) -> None:
        """Load what the first connection would: a fork waits for loading, not for sending."""
        "localhost".encode("idna")

    def start(self) -> None:
        """Start the sending thread unless it runs."""
        self._sender.start()

    def pause(self) -> None:
        """End the sending thread."""
        self._sender.pause()

    def write(self, spans: Sequence[Ready], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Encode and queue."""
        for signal, items, body in requests(self._envelope, spans, logs, metrics):
            self._sender.put(Parcel(signal, body, items, len(body)))

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


def requests(
    envelope: otlp.Envelope, spans: Sequence[Ready], logs: Sequence[LogRecord], metrics: Any
) -> list[tuple[str, int, bytes]]:
    """Return signal, number of items and body of each request that a batch needs."""
    found = []
    for start in range(0, len(spans), _MOST_SPANS):
        part = spans[start : start + _MOST_SPANS]
        encoded: list[str] = []
        for some in slices(part):
            encoded += [one if isinstance(one, str) else otlp.span(one) for one in some]
        found.append(("traces", len(part), envelope.spans(encoded)))
    if logs:
        body = envelope.logs([otlp.log_record(one) for one in logs])
        found.append(("logs", len(logs), body))
    values = metrics_of(metrics)
    if values:
        body = envelope.metrics([otlp.metric(one) for one in values])
        found.append(("metrics", len(values), body))
    return found


class FileSink:
    """OTLP JSON lines: spans in the file named, log records and metrics in files beside it.

    One signal for each file, because that is what the Collector's receiver and Jaeger's upload
    read. Lines are appended, so that processes may share a file; it is its owner's alone.
    """

    name = "file"
    takes_json = True
    takes_sdk_metrics = False

    def __init__(self, path: str, resource: Mapping[str, str | int], say: Say) -> None:
        """Open nothing until there is something to write."""
        stem, extension = os.path.splitext(path)
        self._paths = {
            "traces": path,
            "logs": f"{stem}.logs{extension or '.jsonl'}",
            "metrics": f"{stem}.metrics{extension or '.jsonl'}",
        }
        self._envelope = otlp.Envelope(resource)
        self._say = say
        self._written = 0
        self._torn: set[str] = set()  # a line may have been written in part
        self._counts = {"exported": 0, "dropped.file": 0, "failed": 0}

    def load(self) -> None:
        """Nothing is needed."""

    def start(self) -> None:
        """Nothing runs in the background."""

    def pause(self) -> None:
        """Nothing runs in the background."""

    def write(self, spans: Sequence[Ready], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Append one line for each request."""
        for signal, items, body in requests(self._envelope, spans, logs, metrics):
            if self._written + len(body) > _MOST_FILE_BYTES:
                self._tell_once("dropped.file", f"{self._paths['traces']} is full (1 GiB)")
                self._counts["dropped.file"] += items
                continue
            path = self._paths[signal]
            try:
                files.append(path, body + b"\n", after_torn=path in self._torn)
            except OSError as exc:
                self._torn.add(path)
                self._tell_once("failed", f"cannot write {path}: {exc.strerror}")
                self._counts["failed"] += items
                continue
            self._torn.discard(path)
            self._written += len(body) + 1
            self._counts["exported"] += items

    def _tell_once(self, key: str, line: str) -> None:
        if not self._counts[key]:
            self._say(f"{line}; what follows is only counted (file-export)")

    def finish(self, deadline_s: float) -> None:
        """Nothing is held back, whatever the deadline."""

    def statistics(self) -> dict[str, int]:
        """Return counts."""
        return dict(self._counts)


class ConsoleSink:
    """One line a span or log record on stderr, for a look without a backend."""

    name = "console"
    takes_json = False
    takes_sdk_metrics = False

    def __init__(self) -> None:
        """Start at zero."""
        self._exported = 0

    def load(self) -> None:
        """Nothing is needed."""

    def start(self) -> None:
        """Nothing runs in the background."""

    def pause(self) -> None:
        """Nothing runs in the background."""

    def write(self, spans: Sequence[Span], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Print spans and log records; metrics are left to a backend."""
        lines = [_span_line(span) for span in spans]
        lines += [f"log  {log.severity_text} {log.event_name}: {log.body}" for log in logs]
        if lines and put("".join(f"asyncscope: {line}\n" for line in lines)):
            self._exported += len(lines)

    def finish(self, deadline_s: float) -> None:
        """Nothing is held back, whatever the deadline."""

    def statistics(self) -> dict[str, int]:
        """Return counts."""
        return {"exported": self._exported}


def _span_line(span: Span) -> str:
    facts = " ".join(f"{key.removeprefix('asyncscope.')}={value}" for key, value in span.attributes)
    below = f" below {span.parent_id:016x}" if span.parent_id else ""
    return (
        f"span {span.static.name} {(span.end_ns - span.start_ns) / 1e6:.3f} ms "
        f"{span.trace.trace_id:032x}/{span.span_id:016x}{below} {facts}"
    )


class ProviderSink:
    """The program's own tracer provider: our spans pass through its processors and exporters."""

    name = "provider"
    takes_json = False
    takes_sdk_metrics = False

    def __init__(self, resource: Mapping[str, str | int], say: Say) -> None:
        """Look for the provider with each batch: the program may set it late."""
        self._resource = resource
        self._say = say
        self._logs: Any = None
        self._counts = {"exported": 0, "dropped.no_provider": 0, "failed": 0}

    def load(self) -> None:
        """Load what turns our spans into the SDK's."""
        import_module("autoinstrument.export.sdk")

    def start(self) -> None:
        """Nothing runs in the background."""

    def pause(self) -> None:
        """Nothing runs in the background."""

    def write(self, spans: Sequence[Span], logs: Sequence[LogRecord], metrics: Any) -> None:
        """Hand spans to the provider's processor as if they had just ended."""
        self._write_logs(logs)
        if not spans:
            return
        provider = _program_tracer_provider()
        processor = getattr(provider, "_active_span_processor", None)
        if processor is None:
            self._counts["dropped.no_provider"] += len(spans)
            return
        from autoinstrument.export.sdk import readable  # the SDK is loaded by now

        for span in spans:
            processor.on_end(readable(span, provider.resource))
        self._counts["exported"] += len(spans)

    def _write_logs(self, logs: Sequence[LogRecord]) -> None:
        provider = program_logger_provider()
        if not logs or provider is None:
            return
        from autoinstrument.export.sdk import LogConverter

        if self._logs is None:
            self._logs = LogConverter(provider.resource, provider)
        self._logs.convert(logs)
        self._counts["exported"] += len(logs)

    def finish(self, deadline_s: float) -> None:
        """Flush the provider within the deadline; it stays the program's to shut down."""
        if self._counts["dropped.no_provider"]:
            self._say(
                f"{self._counts['dropped.no_provider']} spans were dropped: the program set no "
                "TracerProvider of the OpenTelemetry SDK (provider-export)"
            )
        provider = _program_tracer_provider()
        if provider is not None:
            provider.force_flush(max(1, int(deadline_s * 1000)))

    def statistics(self) -> dict[str, int]:
        """Return counts."""
        return dict(self._counts)


def _program_tracer_provider() -> Any:
    api = sys.modules.get("opentelemetry.trace")
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    if api is None or sdk is None:
        return None
    provider = api.get_tracer_provider()
    return provider if isinstance(provider, sdk.TracerProvider) else None
