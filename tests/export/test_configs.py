"""The files in `configs/otel` against what is exported and against the programs that read them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.export.metrics import Metrics, metrics_of
from tests.export.test_sending import some_work
from tests.helpers import ROOT

CONFIGS = ROOT / "configs" / "otel"
COLLECTOR = (
    os.environ.get("JAEGER")  # a Collector too, with the processors and exporters that are used
    or shutil.which("otelcol-contrib")
    or shutil.which("jaeger")
)


def prometheus_names(metrics: list[Any]) -> set[str]:
    """Return the names that the Collector's Prometheus exporter gives to metrics."""
    units = {"s": "_seconds", "1": "_ratio"}
    found = set()
    for metric in metrics:
        name = metric.name.replace(".", "_") + units.get(metric.unit, "")
        kind = type(metric.data).__name__
        if kind == "Histogram":
            found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        else:
            found.add(name + ("_total" if kind == "Sum" and metric.data.is_monotonic else ""))
    return found


def test_dashboard_asks_for_metrics_that_exist() -> None:
    metrics = Metrics({}, lambda: {"spans": 1})
    batch = some_work()
    from autoinstrument.export.batch import BlockedPeriod

    batch.blocked = [BlockedPeriod(1, 1, 2, (), 0)]
    metrics.feed(batch)
    known = prometheus_names(metrics_of(metrics.collect()))
    dashboard = json.loads((CONFIGS / "grafana-dashboard.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"(asyncscope_\w+)\{", target["expr"])
    }
    assert len(asked) >= 9
    assert asked <= known


@pytest.mark.slow
@pytest.mark.skipif(not COLLECTOR, reason="no Collector is installed")
def test_collector_accepts_its_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(COLLECTOR), "validate", "--config", str(CONFIGS / "collector.yaml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
