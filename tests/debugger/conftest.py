"""Real processes with a real debugpy, and a bound on everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 90

pytest.importorskip("debugpy")


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Fail a test that hangs instead of hanging with it."""

    def expired(_signum: int, _frame: object) -> None:
        raise TimeoutError(f"the test took more than {LIMIT_S} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


LISTEN = """
import os, sys
import debugpy
debugpy.configure(subProcess=False)
host, port = debugpy.listen(("127.0.0.1", 0))
print("PORT", port, flush=True)
"""

TICKER = """
import asyncio

total = 0
failing = False

def add(n):
    global total
    doubled = n * 2
    total += doubled          # LINE add
    return doubled

async def leaf(n):
    await asyncio.sleep(0.005)
    value = add(n)            # LINE leaf
    return value

async def ticker():
    n = 0
    while True:
        n += 1                # LINE loop
        try:
            if failing:
                {}["missing"]
        except KeyError:
            pass
        await leaf(n)

async def sleeper(event):
    await event.wait()        # LINE sleeper
    woken = True              # LINE woken
    return woken

async def parent(event):
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper(event), name="child")

async def gatherer(event):
    await asyncio.gather(sleeper(event))

async def main():
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, event.set)
    kept = [
        asyncio.create_task(ticker(), name="ticker"),
        asyncio.create_task(parent(event), name="parent"),
        asyncio.create_task(gatherer(event), name="gatherer"),
    ]
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


@dataclass
class Debuggee:
    """A running program with an open debug port."""

    process: subprocess.Popen[str]
    path: Path
    port: int

    def line(self, mark: str) -> int:
        lines = self.path.read_text().splitlines()
        return next(n for n, text in enumerate(lines, 1) if text.endswith(f"# LINE {mark}"))

    @property
    def running(self) -> bool:
        return self.process.poll() is None


def child_environment(**extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASYNCSCOPE", "COVERAGE"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | extra


OWN_SERVER = """
from autoinstrument.debugger.server import DebugpyServer
host, port = DebugpyServer().start()
print("PORT", port, flush=True)
"""


def start_debuggee(path: Path, program: str, listen: str = LISTEN) -> Debuggee:
    path.write_text(listen + program)
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
        cwd=path.parent,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("PORT "), line
    return Debuggee(process, path, int(line.split()[1]))


def stop_process(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_until(condition: object, timeout_s: float = 10.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def ticker(tmp_path: Path) -> Iterator[Debuggee]:
    debuggee = start_debuggee(tmp_path / "program.py", TICKER)
    yield debuggee
    stop_process(debuggee.process)
