"""What is printed when no task moves, and on a signal."""

import asyncio
import sys
from pathlib import Path

import pytest

from autoinstrument.config.schema import Settings
from autoinstrument.findings import FindingStore
from autoinstrument.stall import StallWatch
from autoinstrument.trackers.moments import Moments
from autoinstrument.world import World
from tests.helpers import run_child

MS = 1_000_000


class Stalling:
    """A world in which time passes when a test says so."""

    def __init__(self, stall_s: float) -> None:
        moments = Moments(pytest.fail)
        self.world = World(Settings(stall_s=stall_s), moments, FindingStore(frozenset()))
        self.said: list[str] = []
        moments.on("tick", StallWatch(self.world, self.said.append).tick)
        self.now = 1_000 * MS

    def follow(self, *tasks: "asyncio.Task[None]") -> None:
        for task in tasks:
            self.world.tasks.task_created(task, task.get_coro(), None)

    def pass_by(self, milliseconds: int) -> None:
        for _ in range(milliseconds // 50):
            self.now += 50 * MS
            self.world.moments.fire("tick", self.now)


async def wait_for_each(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        await future


def test_stall_is_told_once_until_a_task_moves() -> None:
    async def main() -> None:
        stalling = Stalling(0.5)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(2)]
        task = asyncio.create_task(wait_for_each(futures), name="one")
        stalling.follow(task)
        await asyncio.sleep(0)
        stalling.pass_by(500)
        assert stalling.said == []
        stalling.pass_by(1_000)
        head, line = stalling.said
        assert head == "no task has moved for 0.5 s; 1 tasks wait:"
        assert 'task "one" (wait_for_each) waits at ' in line
        stalling.said.clear()
        futures[0].set_result(None)
        await asyncio.sleep(0)
        stalling.pass_by(500)
        assert stalling.said == []
        stalling.pass_by(100)
        assert len(stalling.said) == 2
        futures[1].set_result(None)
        await task

    asyncio.run(main())


def test_one_task_of_many_that_moves_is_no_stall() -> None:
    async def main() -> None:
        stalling = Stalling(0.2)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(1_200)]
        tasks = [asyncio.create_task(wait_for_each([future, future])) for future in futures]
        steps = [loop.create_future() for _ in range(8)]
        moving = asyncio.create_task(wait_for_each(steps))
        stalling.follow(*tasks, moving)
        await asyncio.sleep(0)
        for step in steps:
            stalling.pass_by(150)  # too short a time to look at each of them
            step.set_result(None)
            await asyncio.sleep(0)
        assert stalling.said == []
        await moving
        stalling.pass_by(500)
        assert stalling.said[0].endswith("; 1200 tasks wait:")
        assert stalling.said[-1] == "  ... and 1150 more: 1150 wait_for_each"
        for future in futures:
            future.set_result(None)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_program_without_tasks_does_not_stall() -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        stalling = Stalling(0.2)
        task = asyncio.create_task(nothing())
        stalling.follow(task)
        await task
        stalling.pass_by(1_000)
        assert stalling.said == []

    asyncio.run(main())


SIGNALLED = """
import asyncio, os, signal, sys, threading

async def wait(end):
    await end.wait()

async def main():
    end = asyncio.Event()
    tasks = [asyncio.create_task(wait(end), name=f"waiter {number}") for number in range(2)]
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(1)
    end.set()
    await asyncio.gather(*tasks)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGUSR1")
def test_waiting_tasks_are_printed_on_a_signal(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SIGNALLED)
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_DUMP_SIGNAL": "SIGUSR1"}
    child = run_child(program, env=env, timeout_s=60)
    assert child.status == 0, child.err
    assert "asyncscope: 3 tasks wait:" in child.err
    assert 'task "waiter 1" (wait) waits at ' in child.err
    assert "program.py:5 in wait for asyncio.Event #" in child.err
