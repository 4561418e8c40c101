"""Jaeger itself, where it is installed: what it shows is what was sent.

`JAEGER` names the binary if it is not on the PATH. It listens on loopback only.
"""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.exporters import make_exporters
from tests.export.backends import JAEGER, ask, free_ports, running
from tests.export.play import FAILED, Play, finding

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backends,
    pytest.mark.skipif(not JAEGER, reason="jaeger is not installed"),
]

CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  jaeger_storage:
    backends: {{memory: {{memory: {{max_traces: 1000}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
receivers:
  otlp:
    protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


@pytest.fixture(scope="module", name="jaeger")
def fixture_jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Start Jaeger; return the address for OTLP and that of its API."""
    folder = tmp_path_factory.mktemp("jaeger")
    query, query_grpc, otlp = free_ports(3)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(query=query, query_grpc=query_grpc, otlp=otlp))
    api = f"http://127.0.0.1:{query}/api"
    with running([str(JAEGER), "--config", str(config)], folder / "log", f"{api}/services"):
        yield f"http://127.0.0.1:{otlp}", api


def traces_of(api: str, service: str, count: int) -> list[Any]:
    until = time.monotonic() + 10
    while True:
        found = list(ask(f"{api}/traces?service={service}&limit=100")["data"] or ())
        if sum(len(trace["spans"]) for trace in found) >= count:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.1)


def tree_of(trace: Any) -> Any:
    below: dict[str, list[Any]] = {}
    known = {span["spanID"] for span in trace["spans"]}
    for span in trace["spans"]:
        parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
        parent = parents[0] if parents and parents[0] in known else ""
        below.setdefault(parent, []).append(span)

    def build(parent: str) -> list[Any]:
        return sorted((s["operationName"], build(s["spanID"])) for s in below.get(parent, ()))

    return build("")


def test_jaeger_shows_the_tree(jaeger: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, api = jaeger
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "shop"}
    environ |= {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    now_ms = time.monotonic_ns() // 1_000_000 - 1000
    play = Play()
    play.task("main", now_ms, now_ms + 500)
    play.task("a", now_ms + 1, now_ms + 90, by="main", outcome=FAILED, error="ValueError")
    play.task("b", now_ms + 2, now_ms + 300, by="a")
    wait = play.wait("a", now_ms + 5, now_ms + 30)
    said: list[str] = []
    (exporter,) = make_exporters(ExportSettings(exporters=("otlp",)), environ, said.append)
    exporter.drain(play.batch(waits=[wait], findings=[finding("a")]))
    exporter.finish(Batch(), Batch(), 2.0)
    assert said == []
    traces = traces_of(api, "shop", 4)
    trees = sorted(tree_of(trace) for trace in traces)
    assert trees == [[("b", [])], [("main", [("a", [("lock wait", [])])])]]
    spans = {span["operationName"]: span for trace in traces for span in trace["spans"]}
    (link,) = spans["b"]["references"]
    assert (link["refType"], link["spanID"]) == ("FOLLOWS_FROM", spans["a"]["spanID"])
    tags = {tag["key"]: tag["value"] for tag in spans["a"]["tags"]}
    assert tags["error"] is True
    assert tags["otel.status_description"] == "ValueError"
    assert tags["code.file.path"] == "/srv/app.py"
    fields = {field["key"]: field["value"] for field in spans["a"]["logs"][0]["fields"]}
    assert fields["event"] == "asyncscope.blocking_call"
    assert not [span for span in spans.values() if span.get("warnings")]


def test_jaeger_takes_the_file_as_it_is(jaeger: tuple[str, str], tmp_path: Path) -> None:
    """Each line of the file exporter is a request that OTLP over HTTP accepts."""
    endpoint, api = jaeger
    play = Play()
    now_ms = time.monotonic_ns() // 1_000_000 - 1000
    play.task("main", now_ms, now_ms + 500)
    play.task("a", now_ms + 1, now_ms + 90, by="main")
    settings = ExportSettings(exporters=("file",), file=str(tmp_path / "t.jsonl"))
    environ = {"OTEL_SERVICE_NAME": "from-file", "OTEL_METRICS_EXPORTER": "none"}
    (exporter,) = make_exporters(settings, environ, pytest.fail)
    exporter.finish(play.batch(), Batch(), 2.0)
    for line in (tmp_path / "t.jsonl").read_bytes().splitlines():
        request = urllib.request.Request(
            f"{endpoint}/v1/traces", line, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200
    (trace,) = traces_of(api, "from-file", 2)
    assert tree_of(trace) == [("main", [("a", [])])]
