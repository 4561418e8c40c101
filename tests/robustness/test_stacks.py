"""Stacks of tasks are read while the tasks run, too."""

import asyncio
import sys
from pathlib import Path

import pytest

from autoinstrument import stacks
from tests.helpers import run_child
from tests.robustness.watched import write

# The interpreter keeps a counter beside a call that it cannot make fast. Some of its values look
# like an instruction of `await` to whoever asks, meanwhile, what the coroutine waits for.
RUNNING = """
import asyncio, sys, types
from READER

class Look:
    def __call__(self):
        return read(coro)

@types.coroutine
def generator():
    for _ in range(3000):
        look()
    yield from asyncio.sleep(0).__await__()

async def main():
    for _ in range(3000):
        look()
    await asyncio.sleep(0)

look = Look()
for make in (main, generator):
    coro = make()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(coro)
    loop.close()
print(len(list(read(coro))))
"""


@pytest.mark.parametrize(
    "reader",
    [
        "autoinstrument.stacks import _frames; read = lambda coro: list(_frames(coro))",
        "autoinstrument.stacks import parked\n"
        "def read(coro): return parked(types.SimpleNamespace(done=bool, get_coro=lambda: coro))",
        "autoinstrument.debugger.pydevd_fixes import frames_of as read",
    ],
    ids=["agent", "agent, flat", "debugger"],
)
def test_coroutine_that_runs_is_read_without_a_crash(tmp_path: Path, reader: str) -> None:
    child = run_child(write(tmp_path, RUNNING.replace("READER", reader)), cwd=tmp_path)
    assert (child.status, child.out) == (0, "0\n"), child.err


def test_looking_for_a_library_function_makes_no_frames() -> None:
    """The interpreter keeps a frame that was asked for as long as the coroutine waits."""

    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(1_000)]
        await asyncio.sleep(0)
        before = sys.getallocatedblocks()
        for task in tasks:
            assert not list(stacks.library_locals(task, {"TaskGroup.__aexit__"}))
        assert sys.getallocatedblocks() - before < 500
        for task in tasks:
            assert stacks.frame_locals(task, "sleep")["delay"] == 60
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
