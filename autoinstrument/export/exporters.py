"""The exporters that the settings name, joined behind the one interface the agent calls."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.logs import LogRecord
from autoinstrument.export.metrics import Metrics, for_metrics
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.resource import resource_attributes
from autoinstrument.export.sinks import Sink, make_sink
from autoinstrument.export.span import Ready
from autoinstrument.export.trace_settings import make_traces
from autoinstrument.export.traces import Traces

Say = Callable[[str], None]

_MOST_FINISH_S: Final = 2.0
_METRICS_AFTER_S: Final = 5.0  # loading the SDK takes 0.1 s of processor time; let programs start
_MOST_EARLY: Final = 20


class Exporter(Protocol):
    """Takes finished work out of the process."""

    name: str

    def load(self) -> None:
        """Load the libraries that are needed, so that nothing is imported later."""

    def drain(self, batch: Batch) -> None:
        """Export what ended; called in the agent's thread, about once a second."""

    def finish(self, batch: Batch, unfinished: Batch, deadline_s: float) -> None:
        """Export the rest and what is open, at exit, in the calling thread, in time."""

    def statistics(self) -> dict[str, int]:
        """Return what became of everything so far."""

    def before_fork(self) -> None:
        """End all threads; the next `drain` in the parent starts them again.

        The child makes exporters of its own and leaves these alone.
        """


def make_exporters(
    settings: ExportSettings,
    environ: Mapping[str, str],
    say: Say,
    traces: Traces | None = None,
) -> list[Exporter]:
    """Return the exporters; an empty list when nothing is to be exported.

    `traces` are those that the program's threads ask already.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    resource = resource_attributes(environ, settings.instance_id)
    sinks: list[Sink] = []
    for name in dict.fromkeys(settings.exporters):
        if name == "none":
            continue
        sink = make_sink(name, settings, environ, resource, say)
        if sink is not None:
            sinks.append(sink)
    if not sinks:
        return []
    if traces is None:
        traces = make_traces(settings, environ, say)
    pipeline = Pipeline(settings, traces, to_json=all(sink.takes_json for sink in sinks))
    return [SpanExport(sinks, pipeline, environ, resource, say)]


class SpanExport:
    """One pipeline for all sinks, so that a span has the same numbers in all of them."""

    def __init__(
        self,
        sinks: list[Sink],
        pipeline: Pipeline,
        environ: Mapping[str, str],
        resource: Mapping[str, str | int],
        say: Say,
    ) -> None:
        """Build nothing that needs the SDK yet: metrics follow with the first batch."""
        self.name = ",".join(sink.name for sink in sinks)
        self.pipeline = pipeline
        self._sinks = sinks
        self._resource = resource
        self._say = say
        self._signals = {
            signal: environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() != "none"
            for signal in ("traces", "metrics", "logs")
        }
        self._metrics: Metrics | None = None
        self._loaded = False
        self._began_s = time.monotonic()
        self._early: list[Batch] = []  # for the metrics, until the SDK is loaded
        self._interval_s = _interval_s(environ, say)
        self._collected_s = time.monotonic()

    def load(self) -> None:
        """Load what the sinks need, and some seconds later what the metrics need."""
        if not self._loaded:
            self._loaded = True
            self._each(lambda sink: sink.load())
        if time.monotonic() - self._began_s >= _METRICS_AFTER_S:
            self._metrics_on()

    def drain(self, batch: Batch) -> None:
        """Export what ended."""
        fed = self._feed_later(batch)  # all tasks, before the budget leaves any out
        spans, records = self._run(batch, None)
        data = None
        if fed and time.monotonic() - self._collected_s >= self._interval_s:
            data = self._collect()
        self._each(lambda sink: sink.start())
        self._each(lambda sink: sink.write(spans, records, data))

    def before_fork(self) -> None:
        """End all threads."""
        self._each(lambda sink: sink.pause())

    def finish(self, batch: Batch, unfinished: Batch, deadline_s: float) -> None:
        """Export the rest, what is open as unfinished, and the metrics' last values."""
        until = time.monotonic() + min(deadline_s, _MOST_FINISH_S)
        fed = self._feed(batch)
        spans, records = self._run(batch, unfinished)
        data = self._collect() if fed else None
        self._each(lambda sink: sink.write(spans, records, data))
        self._each(lambda sink: sink.finish(max(0.0, until - time.monotonic())))

    def statistics(self) -> dict[str, int]:
        """Return counts; those of a sink carry its name when there are several sinks."""
        found = {"spans": self.pipeline.spans}
        found |= {f"dropped.{why}": count for why, count in self.pipeline.dropped.items()}
        several = len(self._sinks) > 1

        def add(sink: Sink) -> None:
            prefix = f"{sink.name}." if several else ""
            found.update({prefix + key: count for key, count in sink.statistics().items()})

        self._each(add)
        return found

    def _each(self, step: Callable[[Sink], object]) -> None:
        """Take a step with each sink; one that fails is off, and the others go on."""
        for sink in list(self._sinks):
            try:
                step(sink)
            except Exception as exc:
                if sink in self._sinks:  # not taken out meanwhile, by another thread
                    self._sinks.remove(sink)
                    self._say(
                        f"exporter {sink.name} failed ({type(exc).__name__}: {exc}) and is "
                        "switched off; the program is not affected"
                    )

    def _run(self, batch: Batch, unfinished: Batch | None) -> tuple[list[Ready], list[LogRecord]]:
        spans, records = self.pipeline.run(batch, unfinished)
        return (
            spans if self._signals["traces"] else [],
            records if self._signals["logs"] else [],
        )

    def _feed(self, batch: Batch) -> bool:
        """Hand a batch to the metrics; whether there are any."""
        if not self._metrics_on() or self._metrics is None:
            return False
        try:
            for early in self._early:
                self._metrics.feed(early)
            self._early.clear()
            self._metrics.feed(batch)
        except Exception as exc:
            self._no_metrics(exc)
        return self._signals["metrics"]

    def _feed_later(self, batch: Batch) -> bool:
        """Hand a batch to the metrics once they are loaded; whether they are."""
        if self._metrics is not None or len(self._early) >= _MOST_EARLY:
            return self._feed(batch)
        if self._signals["metrics"]:
            self._early.append(for_metrics(batch))
        return False

    def _metrics_on(self) -> bool:
        """Make the instruments, once; whether there are metrics."""
        if self._signals["metrics"] and self._metrics is None:
            try:
                by_sdk = any(sink.takes_sdk_metrics for sink in self._sinks)
                self._metrics = Metrics(self._resource, self.statistics, by_sdk=by_sdk)
            except Exception as exc:
                self._no_metrics(exc)
        return self._signals["metrics"]

    def _no_metrics(self, exc: Exception) -> None:
        self._signals["metrics"] = False
        self._say(f"metrics are off: {type(exc).__name__}: {exc} (metrics-export)")

    def _collect(self) -> Any:
        self._collected_s = time.monotonic()
        return self._metrics.collect() if self._metrics is not None else None


def _interval_s(environ: Mapping[str, str], say: Say) -> float:
    text = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip() or "60000"
    try:
        return max(1.0, float(text) / 1000)
    except ValueError:
        say(
            f"OTEL_METRIC_EXPORT_INTERVAL={text} is no time; accepted are milliseconds; using 60000"
        )
        return 60.0
