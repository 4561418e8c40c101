"""Who is taken for the running task: never anybody but the one that asyncio names."""

import asyncio
import os
import threading
from typing import Any

import pytest
import uvloop

from autoinstrument import agent as agents
from autoinstrument import env
from autoinstrument.hooks import ports
from autoinstrument.native import get_ident
from autoinstrument.trackers import running
from autoinstrument.trackers.running import known
from tests.hooks.conftest import Install

asks = pytest.mark.skipif(not env.ASKS_FOR_PROCESS, reason="asking costs nothing since 3.12")


def taken_for() -> list[Any]:
    """Return whom asyncio, the trackers and woven code take for the running task."""
    found: list[Any] = []
    table = {"running": running.tasks_of_loops, "known": known, "ident": get_ident}
    names = {f"port_{name}": value for name, value in table.items()}
    names["port_loop"] = running.running_loop
    for ask in (
        asyncio.current_task,
        running.running_task,
        lambda: eval(ports.RUNNING, names),
    ):
        try:
            found.append(ask())
        except RuntimeError:  # no loop runs in this thread
            found.append(None)
    return found


def assert_all_name(task: Any) -> None:
    found = taken_for()
    assert [one is task for one in found] == [True] * 3, found


class HandMade(asyncio.SelectorEventLoop):
    """A loop that runs inside another one, as libraries that nest loops do it."""

    def _check_running(self) -> None:
        """Run inside another loop all the same."""

    def run_forever(self) -> None:
        loop: Any = self
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(loop)
        try:
            while not loop._stopping:
                loop._run_once()
        finally:
            loop._stopping = False
            asyncio._set_running_loop(outer)


async def named() -> None:
    assert_all_name(asyncio.current_task())
    asyncio.get_running_loop().call_soon(assert_all_name, None)
    await asyncio.sleep(0)
    assert_all_name(asyncio.current_task())


def test_tasks_callbacks_and_threads_name_the_task_that_asyncio_names(install: Install) -> None:
    install()
    assert_all_name(None)
    in_thread: list[bool] = []

    def without_loop() -> None:
        in_thread.append(taken_for() == [None] * 3)

    def with_loop() -> None:
        asyncio.run(named())
        in_thread.append(taken_for() == [None] * 3)

    async def main() -> None:
        await named()
        for function in (without_loop, with_loop):  # while this task runs, and after it waited
            thread = threading.Thread(target=function)
            thread.start()
            thread.join()
            await asyncio.to_thread(function)
        await named()

    asyncio.run(main())
    asyncio.run(main(), debug=True)
    assert in_thread == [True] * 8
    assert_all_name(None)


@pytest.mark.parametrize("make", [asyncio.SelectorEventLoop, HandMade, uvloop.new_event_loop])
def test_loop_inside_another_one_names_its_own_task(install: Install, make: Any) -> None:
    install()

    inner = make()
    early = inner.create_task(named())

    async def main() -> None:
        outer, task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            if make is not HandMade:  # others refuse to run while one does
                asyncio._set_running_loop(None)
            inner.run_until_complete(early)
            inner.run_until_complete(named())
        finally:
            asyncio._set_running_loop(outer)
            inner.close()
        assert_all_name(task)

    asyncio.run(main())
    asyncio.run(named())


def test_loop_that_ran_before_the_agent_came_names_its_task(install: Install) -> None:
    async def main() -> None:
        install()
        await named()
        thread = threading.Thread(target=lambda: asyncio.run(named()))
        thread.start()
        thread.join()
        await named()
        agents.uninstall()
        await named()
        install()
        await named()

    asyncio.run(main())
    asyncio.run(named())
    uvloop.run(named())


@asks
def test_loop_is_known_while_it_runs_and_no_longer(install: Install) -> None:
    install()
    seen: list[tuple[bool, bool]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen.append((known.loop is loop, known.thread == threading.get_ident()))

    for _ in range(2):
        asyncio.run(main())
        assert (known.loop, known.thread) == (None, 0)
    assert seen == [(True, True)] * 2


@asks
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_knows_no_loop_until_it_runs_one(install: Install) -> None:
    install()

    async def main() -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            assert_all_name(None)
            assert known.thread == 0
            asyncio.run(named())
            status = 0
        finally:
            os._exit(status)

    _, status = os.waitpid(asyncio.run(main()), 0)
    assert os.waitstatus_to_exitcode(status) == 0
