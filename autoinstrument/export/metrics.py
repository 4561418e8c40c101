"""Metrics about loops, tasks and locks.

Everything happens in the thread that drains: instruments are fed from batches, and the reader
collects when it is asked, with no thread of its own. The SDK does it only for an exporter that
needs its data. A meter provider that the program has set is used instead of both, with the
program's own readers.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from autoinstrument import __version__
from autoinstrument.export.batch import Batch
from autoinstrument.export.live_tasks import LiveTasks
from autoinstrument.export.meter import Instrument, Meter, Observation
from autoinstrument.export.resource import SCOPE
from autoinstrument.records import TaskRecord
from autoinstrument.trackers.outbox import EVERY

T = TypeVar("T")

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_DELAYS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_MOST_TIMES: Final = 500
"""Durations, and waits, recorded of one batch: the SDK takes 6 us for each. Counters are exact."""


class Metrics:
    """The instruments, and the reader if the provider is ours."""

    def __init__(
        self,
        resource: Mapping[str, str | int],
        own: Callable[[], dict[str, int]],
        *,
        by_sdk: bool = True,
    ) -> None:
        """Create the instruments.

        Args:
            resource: for the SDK.
            own: returns the exporters' counts of themselves.
            by_sdk: whether the data has to be the SDK's.
        """
        self._own = own
        self._counters: dict[str, int] = {}
        self._utilization: dict[int, float] = {}
        self._observation: Callable[[float, dict[str, Any]], Any] = _observation
        self.reader: Any = None
        provider: Any = program_meter_provider()
        if provider is None and not by_sdk:
            self.reader = Meter()
            self._observation = Observation
            self._make(self.reader)
            return
        if provider is None:
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader

            from autoinstrument.export.sdk import make_resource

            self.reader = InMemoryMetricReader()
            provider = MeterProvider([self.reader], make_resource(resource), shutdown_on_exit=False)
        self._make(provider.get_meter(SCOPE, __version__))

    def _make(self, meter: Any) -> None:
        self._delay = _histogram(
            meter, "asyncscope.eventloop.delay", "How late the loop runs what is due", _DELAYS
        )
        self._duration = _histogram(
            meter, "asyncscope.task.duration", "Time from creation to end of a task", _SECONDS
        )
        self._wait = _histogram(
            meter, "asyncscope.lock.wait.duration", "Time that tasks waited for a lock", _SECONDS
        )
        self._blocked = _histogram(
            meter,
            "asyncscope.eventloop.blocked",
            "Turns of the loop that lasted too long",
            _SECONDS,
        )
        self._findings = meter.create_counter(
            "asyncscope.finding.count", "{finding}", "Findings by kind"
        )
        meter.create_observable_gauge(
            "asyncscope.eventloop.utilization",
            [self._read_utilization],
            "1",
            "Busy share of a loop",
        )
        meter.create_observable_counter(
            "asyncscope.task.created", [self._reader_of("tasks.created")], "{task}", "Tasks created"
        )
        meter.create_observable_up_down_counter(
            "asyncscope.task.active", [self._reader_of("tasks.active")], "{task}", "Tasks alive"
        )
        meter.create_observable_counter(
            "asyncscope.export.spans", [self._read_own], "{span}", "Spans by what became of them"
        )

    def feed(self, batch: Batch) -> None:
        """Take the facts of a batch."""
        self._counters = batch.counters or self._counters
        self._utilization = batch.utilization or self._utilization
        for delay_ns in batch.delays_ns:
            self._delay.record(delay_ns / 1e9)
        durations: dict[tuple[str, str], list[float]] = defaultdict(list)
        for task in _spread(_timed(batch)):
            took_s = max(0, task.ended_ns - task.created_ns) / 1e9
            durations[task.outcome, task.qualname].append(took_s)
        for (outcome, qualname), took in durations.items():
            kind = {"asyncscope.task.outcome": outcome, "code.function.name": qualname}
            _record_all(self._duration, took, kind)
        for wait in _spread([wait for wait in batch.waits if wait.op == "acquire"]):
            if wait.ended_ns:
                took_s = max(0, wait.ended_ns - wait.started_ns) / 1e9
                self._wait.record(took_s, {"asyncscope.lock.kind": wait.lock.kind})
        for period in batch.blocked:
            if period.ended_ns:
                self._blocked.record((period.ended_ns - period.started_ns) / 1e9)
        for finding in batch.findings:
            self._findings.add(finding.count, {"asyncscope.finding.kind": finding.kind})

    def collect(self) -> Any:
        """Return the metrics' data, or None when the program's provider exports them."""
        return self.reader.get_metrics_data() if self.reader is not None else None

    def _reader_of(self, counter: str) -> Callable[[Any], Iterable[Any]]:
        def read(_: Any) -> Iterable[Any]:
            value = self._counters.get(counter)
            return [] if value is None else [self._observation(value, {})]

        return read

    def _read_utilization(self, _: Any) -> Iterable[Any]:
        return [
            self._observation(share, {"asyncscope.loop.id": loop})
            for loop, share in self._utilization.items()
        ]

    def _read_own(self, _: Any) -> Iterable[Any]:
        return [
            self._observation(count, {"asyncscope.export.fate": fate})
            for fate, count in self._own().items()
        ]


def _record_all(histogram: Any, values: Sequence[float], attributes: dict[str, Any]) -> None:
    """Add values of one kind to a histogram of ours, in one piece, or of the SDK."""
    if isinstance(histogram, Instrument):
        histogram.record_all(values, attributes)
        return
    for value in values:
        histogram.record(value, attributes)


def for_metrics(batch: Batch) -> Batch:
    """Return what the metrics need of a batch, to be kept for some seconds."""
    return replace(
        batch,
        tasks=_spread(_timed(batch)),
        left_out=0,
        waits=_spread([wait for wait in batch.waits if wait.op == "acquire"]),
        scopes=[],
        holds=[],
        sessions=[],
        generators=[],
        live=LiveTasks(),
    )


def _timed(batch: Batch) -> list[TaskRecord]:
    """Return tasks that stand for all that ended, where some were left out."""
    if not batch.left_out:
        return batch.tasks
    return [task for task in batch.tasks if not task.serial % EVERY]


def _spread(items: list[T]) -> list[T]:
    """Return some of the items, evenly spread over all, when there are many."""
    return items[:: -(-len(items) // _MOST_TIMES)] if len(items) > _MOST_TIMES else items


def metrics_of(data: Any) -> list[Any]:
    """Return the single metrics inside the SDK's metrics data, or our own."""
    if isinstance(data, list):
        return data
    return [
        metric
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def program_meter_provider() -> Any:
    """Return the meter provider that the program set, if it is one of the SDK."""
    sdk = sys.modules.get("opentelemetry.sdk.metrics")
    api = sys.modules.get("opentelemetry.metrics")
    if sdk is None or api is None:
        return None
    provider = api.get_meter_provider()
    return provider if isinstance(provider, sdk.MeterProvider) else None


def program_logger_provider() -> Any:
    """Return the logger provider that the program set, if it is one of the SDK."""
    sdk = sys.modules.get("opentelemetry.sdk._logs")
    api = sys.modules.get("opentelemetry._logs")
    if sdk is None or api is None:
        return None
    provider = api.get_logger_provider()
    return provider if isinstance(provider, sdk.LoggerProvider) else None


def _histogram(meter: Any, name: str, about: str, bounds: tuple[float, ...]) -> Any:
    try:
        return meter.create_histogram(
            name, "s", about, explicit_bucket_boundaries_advisory=list(bounds)
        )
    except TypeError:  # before 1.30
        return meter.create_histogram(name, "s", about)


def _observation(value: float, attributes: dict[str, Any]) -> Any:
    from opentelemetry.metrics import Observation  # when exporting only

    return Observation(value, attributes)
