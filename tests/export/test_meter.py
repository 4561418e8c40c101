"""Metrics that are added up without the SDK are those that the SDK would send."""

import json
import subprocess
import sys
from typing import Any

from autoinstrument.export import meter, otlp
from autoinstrument.export.batch import Batch, BlockedPeriod
from autoinstrument.export.metrics import Metrics, metrics_of
from tests.export.play import FAILED, Play, finding


def batches() -> list[Batch]:
    """Return two seconds of a program."""
    found = []
    for second in range(2):
        play = Play()
        for number, took in enumerate([1, 1, 3, 50, 999, 70_000]):
            play.task(f"t{number}", 0, took, qualname="fetch" if number % 2 else "serve")
        play.task("bad", 0, 5, outcome=FAILED, error="ValueError")
        play.wait("t1", 0, 5)
        batch = play.batch()
        batch.waits = [play.wait("t2", 1, 7), play.wait("t3", 1, 2, op="get")]
        batch.blocked = [BlockedPeriod(1, 1, 400_000_001, (), 0)]
        batch.findings = [finding("t1", "task_leaked")]
        batch.delays_ns = [0, 2_500_000, 1_000_000, 40_000_000_000]
        batch.utilization = {1: 0.25 * (second + 1), 2: 1.0}
        batch.counters = {"tasks.created": 8 * (second + 1), "tasks.active": 3}
        found.append(batch)
    return found


def sent(metrics: Metrics) -> list[dict[str, Any]]:
    """Return what is sent of the metrics, without the times."""
    found = [json.loads(otlp.metric(one)) for one in metrics_of(metrics.collect())]
    for metric in found:
        (data,) = [value for key, value in metric.items() if key in {"histogram", "sum", "gauge"}]
        for point in data["dataPoints"]:
            assert int(point.pop("timeUnixNano")) > 1e18
            started = int(point.pop("startTimeUnixNano", 0))
            assert (started > 1e18) == ("gauge" not in metric)
        data["dataPoints"].sort(key=json.dumps)
    return sorted(found, key=lambda metric: str(metric["name"]))


def test_values_are_those_of_the_sdk() -> None:
    own = Metrics({}, lambda: {"spans": 7, "dropped.budget": 0}, by_sdk=False)
    official = Metrics({}, lambda: {"spans": 7, "dropped.budget": 0})
    for batch in batches():
        own.feed(batch)
        official.feed(batch)
        assert sent(own) == sent(official)
    assert len(sent(own)) == 9


def test_sets_of_attributes_are_bounded() -> None:
    made = meter.Meter()
    counter = made.create_counter("c", "1", "")
    for number in range(5_000):
        counter.add(1, {"k": number})
    (metric,) = made.get_metrics_data()
    points = metric.data.data_points
    assert len(points) == 2_000
    assert sum(point.value for point in points) == 5_000
    assert points[-1].attributes == {"otel.metric.overflow": True}


def test_nothing_of_the_sdk_is_loaded_for_metrics() -> None:
    code = (
        "import sys\n"
        "from autoinstrument.export.metrics import Metrics\n"
        "Metrics({}, dict, by_sdk=False).collect()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
