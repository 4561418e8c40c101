"""The report document and how it is written."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from autoinstrument.export.report import report, timestamp, write
from autoinstrument.findings import Finding, Related
from autoinstrument.places import Place

PLACE = Place("/app/main.py", 41, "connect")


def finding() -> Finding:
    return Finding(
        "lock_reentry",
        "What happened.",
        "What to do.",
        PLACE,
        task="worker",
        related=[Related("scope entered", Place("/app/b.py", 1, "open"), "opener")],
        stack=[PLACE],
        count=3,
        first_seen=1_700_000_000.5,
        key=("not", "exported"),
    )


def test_document_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--password=hunter2", "serve"])
    statistics = {"tasks": {"created": 5}}
    document = report([finding()], statistics, 0.0, 1.25)
    assert document == {
        "version": 1,
        "process": {
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "argv": ["app.py", "--password=[redacted]", "serve"],
            "started": "1970-01-01T00:00:00.000Z",
            "ended": "1970-01-01T00:00:01.250Z",
        },
        "findings": [
            {
                "kind": "lock_reentry",
                "message": "What happened.",
                "remedy": "What to do.",
                "severity": "error",
                "possible": False,
                "count": 3,
                "first_seen": "2023-11-14T22:13:20.500Z",
                "task": "worker",
                "location": {"file": "/app/main.py", "line": 41, "function": "connect"},
                "related": [
                    {
                        "role": "scope entered",
                        "file": "/app/b.py",
                        "line": 1,
                        "function": "open",
                        "task": "opener",
                    }
                ],
                "stack": [{"file": "/app/main.py", "line": 41, "function": "connect"}],
            }
        ],
        "statistics": statistics,
    }
    assert json.loads(json.dumps(document)) == document


def test_finding_without_place_has_a_null_location() -> None:
    item = Finding("lock_reentry", "What happened.", "What to do.", None)
    (found,) = report([item], {}, 0, 0)["findings"]
    assert found["location"] is None
    assert (found["related"], found["stack"], found["task"]) == ([], [], "")


def test_process_without_argv_has_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "argv")
    assert report([], {}, 0, 0)["process"]["argv"] == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (4_102_444_799, "2099-12-31T23:59:59.000Z"),
    ],
)
def test_timestamps_are_in_utc_whatever_the_zone(
    seconds: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert timestamp(seconds) == text


def test_file_is_whole_readable_by_its_owner_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert write(str(path), {"name": "n\u00e4ive \u2603"}) == ""
    assert json.loads(path.read_text("utf-8")) == {"name": "n\u00e4ive \u2603"}
    assert os.listdir(tmp_path) == ["r.json"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("x" * 10_000)
    path.chmod(0o644)
    assert write(str(path), {}) == ""
    assert path.read_text() == "{}"


@pytest.mark.parametrize("name", ["missing/r.json", "folder", ""])
def test_file_that_cannot_be_written_is_one_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    problem = write(str(tmp_path / name) if name else str(tmp_path), {})
    assert "cannot be written (" in problem
    assert "\n" not in problem
    assert os.listdir(tmp_path) == ["folder"]


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    """Names of files may hold any bytes; Python gives them as lone surrogates."""
    path = tmp_path / "r.json"
    assert write(str(path), {"file": "/app/caf\udce9.py"}) == ""
    assert json.loads(path.read_text("utf-8"))["file"].startswith("/app/caf")
