"""The examples run, and print what they promise."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import ROOT, child_environment

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {
    "debug_own_process.py": ["price is -5.0", "task Task-1 is at total", "total: 26.0", "stops: 1"],
    "debug_other_process.py": ["worker-a: job with n =", "worker-b: job", "in task Task-1"],
    "debug_until_task_resumes.py": ["consumer-2 waits in consumer", "consumer-1 runs again"],
    "debug_running_process.py": ["order-1 waits in order:", "listens on", "no more"],
    "debug_operations.py": ["[0, 10, 20]", "stopped: double 21", "42", "scope: 3 ended"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        capture_output=True,
        text=True,
        timeout=60,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in EXPECTED[name]:
        assert words in done.stdout + done.stderr


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("debug_*.py")} == set(EXPECTED)
