"""Run programs under the agent, two at a time, and read what was reported."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers import Child, run_child


@dataclass(frozen=True)
class Outcome:
    """What a program showed, and what was found in it."""

    child: Child
    path: Path
    report: dict[str, Any]
    findings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of all findings, in order."""
        return [finding["kind"] for finding in self.findings]

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only finding of a kind."""
        found = [finding for finding in self.findings if finding["kind"] == kind]
        assert len(found) == 1, (kind, self.kinds, self.child.err)
        return found[0]


def watch(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Outcome:
    """Run a text as a program with the agent and return its outcome."""
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    report = folder / "report.json"
    settings = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_REPORT": str(report), **(env or {})}
    child = run_child(path, env=settings, cwd=folder, timeout_s=30)
    assert report.exists(), (child.status, child.out, child.err)
    document = json.loads(report.read_text(encoding="utf-8"))
    return Outcome(child, path, document, document["findings"])


class Runs:
    """Starts the programs of the chosen tests at once, two at a time."""

    def __init__(self, folder: Path, texts: Mapping[str, str]) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._runs: dict[str, Future[Outcome]] = {}
        for name, text in texts.items():
            place = folder / name
            place.mkdir()
            self._runs[name] = self._pool.submit(watch, place, text)

    def outcome(self, name: str) -> Outcome:
        """Wait for one program."""
        return self._runs[name].result(timeout=180)

    def close(self) -> None:
        """Wait for those that run, and leave out the others."""
        self._pool.shutdown(cancel_futures=True)
