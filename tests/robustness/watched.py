"""Programs run with and without the agent, side by side."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helpers import Child, child_environment, run_child


def write(folder: Path, text: str, name: str = "program.py") -> Path:
    """Write a program into a folder."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def both(
    folder: Path, text: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
) -> tuple[Child, Child]:
    """Run a program without and with the agent; the report is `report.json` in the folder."""
    path = write(folder, text)
    plain = run_child(path, cwd=folder, timeout_s=timeout_s)
    settings = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_REPORT": str(folder / "report.json"),
        **(env or {}),
    }
    return plain, run_child(path, env=settings, cwd=folder, timeout_s=timeout_s)


def start(path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    """Start a program with the agent, with pipes for what it prints; returns a `Popen`."""
    return subprocess.Popen(
        [sys.executable, path, *arguments],
        env=child_environment({"ASYNCSCOPE_ENABLE": "1", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(text: str) -> list[str]:
    """Return the lines of the agent."""
    return [line for line in text.splitlines() if line.startswith("asyncscope: ")]


def others(text: str) -> list[str]:
    """Return what is not of the agent's summary, without addresses."""
    text = re.sub("0x[0-9a-f]+", "0x", text)
    return [line for line in text.splitlines() if line and not line.startswith("asyncscope: ")]
