"""Arize Phoenix itself: another backend shows the tree that was sent.

`PHOENIX` names its command if it is not on the PATH. It takes protobuf only.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.exporters import make_exporters
from tests.export.backends import PHOENIX, ask, free_ports, running, wait_for
from tests.export.play import FAILED, MS, Play

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backends,
    pytest.mark.skipif(not PHOENIX, reason="phoenix is not installed"),
]


@pytest.fixture(name="phoenix")
def fixture_phoenix(tmp_path: Path) -> Iterator[str]:
    port, grpc = free_ports(2)
    environ = {
        "PHOENIX_WORKING_DIR": str(tmp_path),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running([str(PHOENIX), "serve"], tmp_path / "log", f"{url}/healthz", environ):
        yield url


def test_phoenix_shows_the_tree(phoenix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": phoenix,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    play = Play()
    base = time.monotonic_ns() // MS - 1000
    play.task("main", base, base + 500)
    play.task("a", base + 1, base + 90, by="main", outcome=FAILED, error="ValueError")
    play.task("b", base + 2, base + 80, by="a")
    said: list[str] = []
    (exporter,) = make_exporters(ExportSettings(exporters=("otlp",)), environ, said.append)
    exporter.finish(play.batch(), Batch(), 2.0)
    assert said == []
    address = f"{phoenix}/v1/projects/default/spans?limit=100"
    spans = wait_for(lambda: [s for s in [ask(address)["data"]] if len(s) == 3])[0]
    names = {span["context"]["span_id"]: span["name"] for span in spans}
    parents = {span["name"]: names.get(span["parent_id"] or "") for span in spans}
    assert parents == {"main": None, "a": "main", "b": "a"}
    states = {span["name"]: span["status_code"] for span in spans}
    assert states == {"main": "UNSET", "a": "ERROR", "b": "UNSET"}
    (failed,) = [span for span in spans if span["name"] == "a"]
    assert failed["attributes"]["code.file.path"] == "/srv/app.py"
