"""What exporting costs: processor time of one drain per span, and beside a task that does nothing.

`python -m tests.benchmarks.exporters` prints a table. Records are made beforehand, requests are
thrown away: what is measured is all that happens between the two in the agent's thread.
"""

import asyncio
import gzip
import time
from collections.abc import Callable, Sequence
from typing import Any

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.exporters import SpanExport
from autoinstrument.export.otlp import Envelope
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.resource import resource_attributes
from autoinstrument.export.sinks import Sink, requests
from autoinstrument.export.trace_settings import make_traces
from tests.export.play import Play, flat

TASKS = 10_000
TREE = 10  # tasks in a trace
ENVIRON = {"OTEL_METRICS_EXPORTER": "none"}


class Nowhere:
    """Encodes as the OTLP sink does, and throws the requests away."""

    name = "nowhere"
    takes_sdk_metrics = False

    def __init__(
        self, encode: Callable[[Sequence[Any], Sequence[Any]], Any], *, takes_json: bool
    ) -> None:
        self._encode = encode
        self.takes_json = takes_json

    def load(self) -> None:
        pass

    def start(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def write(self, spans: Sequence[Any], logs: Sequence[Any], metrics: Any) -> None:
        self._encode(spans, logs)

    def finish(self, deadline_s: float) -> None:
        pass

    def statistics(self) -> dict[str, int]:
        return {}


def encoders() -> dict[str, Callable[[Sequence[Any], Sequence[Any]], Any]]:
    """Return what turns spans into requests, by protocol; the SDK's where it is installed."""
    envelope = Envelope(resource_attributes(ENVIRON, "one"))

    def json(spans: Sequence[Any], logs: Sequence[Any]) -> Any:
        return requests(envelope, spans, logs, None)

    def zipped(spans: Sequence[Any], logs: Sequence[Any]) -> Any:
        return [gzip.compress(body, 6) for _, _, body in json(spans, logs)]

    found: dict[str, Callable[[Sequence[Any], Sequence[Any]], Any]] = {
        "http/json": json,
        "http/json, gzip": zipped,
    }
    try:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    except ImportError:
        return found
    from autoinstrument.export.sdk import make_resource, readable

    resource = make_resource(resource_attributes(ENVIRON, "one"))

    def protobuf(spans: Sequence[Any], logs: Sequence[Any]) -> Any:
        return encode_spans([readable(span, resource) for span in spans]).SerializeToString()

    return found | {"http/protobuf, grpc": protobuf}


def work(count: int) -> Batch:
    """Return tasks in trees of ten, as a server makes them."""
    play = Play()
    stack = flat("handler", 20)
    records: list[Any] = []
    for number in range(count):
        record = play.task(f"t{number}", number // TREE, number // TREE + 3, qualname="fetch")
        record.creator = record.serial - number % TREE if number % TREE else 0
        record.flat_stack = stack
        record.code = records[0].code if records else record.code
        records.append(record)
    return Batch(tasks=records)


def drained_us(sink: Sink, count: int, budget: int) -> float:
    """Return the processor time of a drain, in microseconds per task."""
    settings = ExportSettings(span_budget=budget)
    traces = make_traces(settings, ENVIRON, print)
    export = SpanExport(
        [sink], Pipeline(settings, traces, to_json=sink.takes_json), ENVIRON, {}, print
    )
    batch = work(count)
    start = time.thread_time_ns()
    export.drain(batch)
    return (time.thread_time_ns() - start) / 1000 / count


def trivial_us(count: int = 20_000) -> float:
    """Return what a task that does nothing costs: made by one that awaits it."""

    async def nothing() -> None:
        pass

    async def main() -> float:
        start = time.thread_time_ns()
        for _ in range(count):
            await asyncio.create_task(nothing())
        return (time.thread_time_ns() - start) / 1000 / count

    return asyncio.run(main())


def table(count: int = TASKS, rounds: int = 5) -> list[tuple[str, float, float]]:
    """Return name, microseconds, and ratio to a trivial task; the best of all rounds each."""
    cases: list[tuple[str, Sink, int]] = [
        (f"{name}: each span", Nowhere(encode, takes_json="json" in name), 10 * count)
        for name, encode in encoders().items()
    ]
    json = Nowhere(encoders()["http/json"], takes_json=True)
    cases.append(("a budget of 1,000: each task of a storm", json, 1_000))
    best: dict[str, float] = {}
    trivial = float("inf")
    for _ in range(rounds):
        trivial = min(trivial, trivial_us(2 * count))
        for name, sink, budget in cases:
            tasks = count if budget > count else 10 * count
            if "protobuf" in name:
                tasks //= 10
            found = drained_us(sink, tasks, budget)
            best[name] = min(best.get(name, found), found)
    rows = [(name, us, us / trivial) for name, us in best.items()]
    return [("a trivial task", trivial, 1.0), *rows]


def main() -> None:
    print("| | µs | trivial tasks |\n|---|---|---|")
    for name, us, ratio in table():
        print(f"| {name} | {us:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
