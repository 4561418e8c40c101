"""The OpenTelemetry Collector itself with our configuration: what passes is what was sent.

`OTELCOL` names the binary if no `otelcol-contrib` is on the PATH.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.export.batch import Batch, BlockedPeriod, ExportSettings
from autoinstrument.export.exporters import make_exporters
from tests.export.backends import COLLECTOR, free_ports, running, wait_for
from tests.export.play import FAILED, MS, Play, finding, place
from tests.export.receiver import decode_json
from tests.helpers import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backends,
    pytest.mark.skipif(not COLLECTOR, reason="no Collector is installed"),
]

OVERRIDE = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
processors:
  tail_sampling: {{decision_wait: 1s}}
exporters:
  prometheus: {{endpoint: "127.0.0.1:{prometheus}"}}
  file/traces: {{path: "{folder}/traces.jsonl"}}
  file/metrics: {{path: "{folder}/metrics.jsonl"}}
  file/logs: {{path: "{folder}/logs.jsonl"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{exporters: [file/traces]}}
    metrics: {{exporters: [prometheus, file/metrics]}}
    logs: {{exporters: [file/logs]}}
"""

PLAIN = 200


def work() -> tuple[Batch, Batch]:
    """Return a batch with one trace for each rule that keeps, and many that none does."""
    play = Play()
    base = time.monotonic_ns() // MS - 5_000
    for number in range(PLAIN):
        play.task(f"plain{number}", base + number, base + number + 20, qualname="plain")
    play.task("failing", base, base + 90)
    play.task("failed", base + 1, base + 80, by="failing", outcome=FAILED, error="ValueError")
    play.task("found", base, base + 50)
    play.task("slow", base, base + 1_500)
    play.task("blocking", base, base + 400)
    play.task("stuck", base)
    blocked = BlockedPeriod(
        1, (base + 10) * MS, (base + 390) * MS, place("blocking"), play.tasks["blocking"].serial
    )
    batch = play.batch(findings=[finding("found")], blocked=[blocked])
    return batch, Batch(tasks=[play.tasks["stuck"]])


def spans_in(path: Path) -> dict[tuple[bytes, bytes], Any]:
    lines = path.read_text().splitlines() if path.exists() else []
    messages: list[Any] = [decode_json("traces", line) for line in lines]
    found = {}
    for message in messages:
        for group in message.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    span.status.SetInParent()  # the Collector writes an empty one
                    found[span.trace_id, span.span_id] = span
    return found


def test_what_passes_is_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grpc, http, prometheus = free_ports(3)
    ports = {"grpc": grpc, "http": http, "prometheus": prometheus}
    override = tmp_path / "override.yaml"
    override.write_text(OVERRIDE.format(folder=tmp_path, **ports))
    configs = [f"--config={ROOT}/configs/otel/collector.yaml", f"--config={override}"]
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{http}",
        "OTEL_SERVICE_NAME": "shop",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    url = environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    with running([str(COLLECTOR), *configs], tmp_path / "log", url):
        settings = ExportSettings(exporters=("otlp", "file"), file=str(tmp_path / "sent.jsonl"))
        said: list[str] = []
        (exporter,) = make_exporters(settings, environ, said.append)
        batch, unfinished = work()
        exporter.drain(batch)
        exporter.finish(Batch(), unfinished, 2.0)
        assert said == []
        sent = spans_in(tmp_path / "sent.jsonl")
        assert len(sent) == PLAIN + 7
        wanted = {"failing", "failed", "found", "slow", "blocking", "loop blocked", "stuck"}
        passed = wait_for(lambda: _with_names(tmp_path / "traces.jsonl", wanted))
        wait_for((tmp_path / "metrics.jsonl").exists)
        wait_for((tmp_path / "logs.jsonl").exists)
    assert all(sent[key] == span for key, span in passed.items())
    plain = sum(span.name == "plain" for span in passed.values())
    assert plain < PLAIN // 4  # 5 of 100 are kept
    assert "asyncscope.task.duration" in (tmp_path / "metrics.jsonl").read_text()
    assert "asyncscope.blocking_call" in (tmp_path / "logs.jsonl").read_text()


def _with_names(path: Path, wanted: set[str]) -> dict[tuple[bytes, bytes], Any]:
    """Return the spans in the Collector's file once those wanted are there, else nothing."""
    found = spans_in(path)
    return found if wanted <= {span.name for span in found.values()} else {}
