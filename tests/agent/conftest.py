import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Child, run_child


@dataclass(frozen=True)
class Watched:
    """A child process with the agent, and the folder in which it wrote."""

    child: Child
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """Return the report of the first process."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return found

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of finding in the report of the first process."""
        return [finding["kind"] for finding in self.report["findings"]]

    @property
    def others(self) -> list[dict[str, Any]]:
        """Return the reports of child processes."""
        return [
            json.loads(path.read_text("utf-8"))
            for path in sorted(self.folder.glob("report.json.*.json"))
        ]


Watch = Callable[..., Watched]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Return a function that runs a text as a program with the agent."""

    def run(text: str, env: Mapping[str, str] | None = None, **options: Any) -> Watched:
        path = tmp_path / "program.py"
        path.write_text(text, encoding="utf-8")
        settings = {
            "ASYNCSCOPE_ENABLE": "1",
            "ASYNCSCOPE_REPORT": str(tmp_path / "report.json"),
            **(env or {}),
        }
        child = run_child(path, env=settings, cwd=tmp_path, timeout_s=30, **options)
        return Watched(child, tmp_path)

    return run
