"""A deadline that has passed when its scope is entered is one that expired."""

import json
from pathlib import Path

import pytest

from tests.helpers import run_child

PROGRAM = """
import anyio

async def main():
    with anyio.move_on_after(0) as passed:
        await anyio.sleep(60)
    with anyio.CancelScope() as cancelled:
        cancelled.cancel()
        await anyio.sleep(60)
    early = anyio.CancelScope()
    early.cancel()
    with early:
        await anyio.sleep(60)
    with anyio.move_on_after(60):
        await anyio.sleep(0)
    print(passed.cancelled_caught, cancelled.cancelled_caught, early.cancelled_caught)

anyio.run(main)
"""


@pytest.mark.slow
def test_deadline_that_has_passed_counts_as_expired(tmp_path: Path) -> None:
    program, counters = tmp_path / "program.py", tmp_path / "counters.json"
    program.write_text(PROGRAM)
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_STATS_FILE": str(counters)}
    child = run_child(program, env=env)
    assert (child.status, child.out) == (0, "True True True\n"), child.err
    counted = json.loads(counters.read_text())
    assert counted["scopes_entered"] == counted["scopes_left"] == 4
    assert counted["scopes_expired"] == 1
    assert counted["scopes_cancelled"] == 2
