"""An IDE at our port, spoken by a client that is not ours; every wait is bounded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import (
    OWN_SERVER,
    ROOT,
    TICKER,
    Debuggee,
    child_environment,
    start_debuggee,
    stop_process,
    wait_until,
)
from .raw_dap import EndOfSessionError, VisualStudioCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
# On 3.11 each line is traced by a Python function, and fewer have to do.
SESSIONS = 50 if hasattr(sys, "monitoring") else 15


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Debuggee]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    debuggee = start_debuggee(tmp_path / "program.py", TICKER, OWN_SERVER)
    yield debuggee
    stop_process(debuggee.process)


def at(debuggee: Debuggee, mark: str, **extra: object) -> dict[str, list[dict[str, object]]]:
    return {str(debuggee.path): [{"line": debuggee.line(mark)} | extra]}


def total(ide: VisualStudioCode) -> int:
    found = ide.ask("evaluate", {"expression": "__import__('__main__').total", "context": "repl"})
    return int(found["result"])


def test_person_attaches_stops_looks_steps_and_leaves(served: Debuggee) -> None:
    with VisualStudioCode(served.port) as ide:
        (points,) = ide.attach(at(served, "leaf", condition="n % 3 == 0")).values()
        assert points[0]["verified"] is True
        stop = ide.stopped()
        assert stop["reason"] == "breakpoint"
        assert [frame["name"] for frame in stop["frames"][:2]] == ["leaf", "ticker"]
        assert stop["frames"][0]["source"]["path"] == str(served.path)
        n = int(stop["variables"]["n"])
        assert n % 3 == 0
        watch = {"expression": "n + 1", "frameId": stop["frames"][0]["id"], "context": "watch"}
        assert ide.ask("evaluate", watch)["result"] == str(n + 1)
        for command, function in (("stepIn", "add"), ("next", "add"), ("stepOut", "leaf")):
            ide.ask(command, {"threadId": stop["thread"]})
            assert ide.stopped()["frames"][0]["name"] == function
        ide.ask("setBreakpoints", {"source": {"path": str(served.path)}, "breakpoints": []})
        ide.resume(stop["thread"])
        before = total(ide)
        assert wait_until(lambda: total(ide) > before)
        ide.leave()
    assert served.running


def test_many_sessions_in_a_row_do_not_hang(served: Debuggee) -> None:
    opened, moved = [], []
    for number in range(SESSIONS):
        started = time.perf_counter()
        with VisualStudioCode(served.port) as ide:
            ide.attach(at(served, "add"))
            opened.append(time.perf_counter() - started)
            stop = ide.stopped()
            assert stop["frames"][0]["name"] == "add", number
            hit = time.perf_counter()
            frame = ide.ask("stackTrace", {"threadId": stop["thread"], "levels": 1})
            ide.ask(
                "evaluate",
                {
                    "expression": "n",
                    "frameId": frame["stackFrames"][0]["id"],
                    "context": "watch",
                },
            )
            ide.resume(stop["thread"])
            moved.append(time.perf_counter() - hit)
            ide.leave()
    print(json.dumps({"sessions": SESSIONS, "open_ms": _ms(opened), "hit_ms": _ms(moved)}))
    # With Nagle's algorithm each of the three round trips takes 44 ms. Here: about 3 in all.
    assert sorted(moved)[len(moved) // 2] < 0.1
    assert served.running


def _ms(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median": round(ordered[len(ordered) // 2] * 1000, 1),
        "worst": round(ordered[-1] * 1000, 1),
    }


def test_program_that_is_killed_while_stopped_ends_the_session(served: Debuggee) -> None:
    with VisualStudioCode(served.port) as ide:
        ide.attach(at(served, "add"))
        ide.stopped()
        served.process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        with contextlib.suppress(EndOfSessionError):
            ide.event("terminated")
        assert time.monotonic() - started < 20


IDE = """
import sys, time
from tests.debugger.raw_dap import VisualStudioCode
ide = VisualStudioCode(int(sys.argv[1]))
ide.attach({sys.argv[2]: [{"line": int(sys.argv[3])}]})
ide.stopped()
print("stopped", flush=True)
time.sleep(600)
"""


def test_ide_that_is_killed_while_stopped_leaves_a_running_program(served: Debuggee) -> None:
    words = (str(served.port), str(served.path), str(served.line("add")))
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", IDE, *words],
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(),
            cwd=ROOT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        os.kill(process.pid, signal.SIGKILL)
        stop_process(process)

    # The debugger needs a moment to notice that the last one is gone.
    assert wait_until(lambda: runs_on(served), 30)


def runs_on(served: Debuggee) -> bool:
    """Attach without breakpoints and see the program run; False if somebody else is attached."""
    with VisualStudioCode(served.port) as ide:
        if not ide.attach_unless_busy():
            return False
        before = total(ide)
        found = wait_until(lambda: total(ide) > before)
        ide.leave()
        return found
