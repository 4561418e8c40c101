"""Waits that woven code writes down itself: what is known of them, in real programs."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from autoinstrument.places import line_of
from autoinstrument.records import LockRecord, TaskRecord, WaitRecord, wait_record
from tests.hooks.conftest import Install

TURNS = 20
TASKS = 5

MAKERS = pytest.mark.parametrize(
    "make",
    [asyncio.Lock, lambda: asyncio.Semaphore(1), anyio.Lock, lambda: anyio.Semaphore(1)],
    ids=["asyncio lock", "asyncio semaphore", "anyio lock", "anyio semaphore"],
)


def taken_in(record: LockRecord) -> list[str]:
    (hold,) = record.holds
    return [code.co_name for code, _ in hold.stack]


@MAKERS
def test_contended_lock_counts_exactly_and_knows_holder_and_place(
    install: Install, make: Callable[[], Any]
) -> None:
    agent = install()
    resources = agent.world.resources

    async def main() -> None:
        lock = make()
        waited = 0

        async def one_way() -> None:
            async with lock:
                assert "one_way" in taken_in(record())
                await asyncio.sleep(0)

        async def other_way() -> None:
            await lock.acquire()
            assert "other_way" in taken_in(record())
            await asyncio.sleep(0)
            lock.release()

        def record() -> LockRecord:
            (found,) = [r for r in resources.locks.values() if r() is lock]
            assert found.holds[0].owner is agent.world.tasks.current()
            return found

        async def worker() -> None:
            for turn in range(TURNS):
                await (other_way if turn % 3 else one_way)()

        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(worker())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waited = len(resources.waiting)
        (known,) = [r for r in resources.locks.values() if r() is lock]
        assert waited in {TASKS - 1, TASKS}
        assert (known.acquired, known.waiting, known.holds) == (TURNS * TASKS, 0, [])
        assert TURNS * TASKS - TASKS <= known.waits == resources.waits < TURNS * TASKS
        assert TASKS - 1 <= known.max_waiters <= TASKS
        assert TURNS * TASKS - TASKS <= known.handovers <= known.waits + known.foreign_releases
        assert 0 < known.wait_max_ns < known.wait_total_ns

    asyncio.run(main())
    assert resources.waiting == {}
    assert agent.findings.all() == []


@pytest.mark.parametrize("make", [asyncio.Lock, anyio.Lock], ids=["asyncio", "anyio"])
@pytest.mark.parametrize("tasks", [1, 3], ids=["free", "contended"])
def test_hold_names_the_line_of_this_acquisition_and_of_the_caller(
    install: Install, make: Callable[[], Any], tasks: int
) -> None:
    agent = install()
    expected = []

    async def main() -> None:
        lock = make()

        def lines() -> list[int]:
            (record,) = [r for r in agent.world.resources.locks.values() if r() is lock]
            (hold,) = record.holds
            return [line_of(*raw) for raw in hold.stack if raw[0].co_filename == __file__]

        async def take(first: bool) -> list[int]:
            if first:
                async with lock:
                    expected.append(sys._getframe().f_lineno - 1)
                    await asyncio.sleep(0)
                    return lines()
            async with lock:
                expected.append(sys._getframe().f_lineno - 1)
                await asyncio.sleep(0)
                return lines()

        async def worker() -> None:
            for turn in range(4):
                one = await take(turn % 2 == 0)
                expected_one = expected[-1]
                two = await take(turn % 2 == 0)
                assert (one[0], two[0]) == (expected_one, expected[-1])
                if make is anyio.Lock or tasks == 1:  # else the caller is not kept
                    assert one[1] + 2 == two[1]
            for first in (True, False, True):
                assert (await take(first))[0] == expected[-1]

        await asyncio.gather(*[worker() for _ in range(tasks)])

    asyncio.run(main())
    assert len(set(expected)) == 2


def test_exchange_through_queues_leaves_no_wait(install: Install) -> None:
    agent = install()
    resources = agent.world.resources

    async def main() -> None:
        there, back = asyncio.Queue[int](1), asyncio.Queue[int](1)

        async def echo() -> None:
            for _ in range(TURNS):
                await back.put(await there.get())

        task = asyncio.create_task(echo())
        for number in range(TURNS):
            await there.put(number)
            assert await back.get() == number
        await task
        for queue in (there, back):
            (record,) = [r for r in resources.locks.values() if r() is queue]
            assert record.waiting == 0
            assert record.waits in range(TURNS - 1, TURNS + 2)
            assert record.max_waiters == 1

    asyncio.run(main())
    assert resources.waiting == {}
    assert resources.statistics()["waits"] >= 2 * TURNS - 2


@pytest.mark.parametrize("end", ["goes on", "is cancelled"])
def test_record_of_a_wait_that_was_asked_for_is_ended(install: Install, end: str) -> None:
    agent = install()

    async def main() -> None:
        lock = asyncio.Lock()

        async def waiter() -> None:
            async with lock:
                pass

        async with lock:
            earlier = [asyncio.create_task(waiter()) for _ in range(2)]
            await asyncio.sleep(0)
        await asyncio.gather(*earlier)  # now the code in acquire() writes waits down itself
        async with lock:
            task = asyncio.create_task(waiter(), name="waiter")
            await asyncio.sleep(0)
            wait = record_of(agent, task).wait
            assert wait is not None
            assert record_of(agent, task).wait is wait
            assert (wait.task.name, wait.op, wait.ended_ns, wait.how) == (
                "waiter",
                "acquire",
                0,
                "",
            )
            assert "waiter" in [code.co_name for code, _ in wait.stack]
            if end == "is cancelled":
                task.cancel()
        await asyncio.wait([task])
        assert wait.ended_ns > wait.started_ns
        assert wait.how == ("broken off" if end == "is cancelled" else "resolved")
        assert agent.world.resources.waiting == {}

    asyncio.run(main())


def record_of(agent: Any, task: "asyncio.Task[Any]") -> TaskRecord:
    found: TaskRecord = agent.world.tasks.live[id(task)]
    return found


def test_record_asked_for_when_the_wait_has_just_ended_says_so(install: Install) -> None:
    agent = install()

    async def main() -> WaitRecord:
        lock = asyncio.Lock()
        async with lock:
            task = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0)
            (entry,) = agent.world.resources.waiting.values()
            assert entry[-1] is None
        await task
        lock.release()
        return wait_record(entry)

    wait = asyncio.run(main())
    assert wait.ended_ns >= wait.started_ns
    assert wait.how == "resolved"


def test_waits_of_tasks_that_were_destroyed_are_dropped(install: Install) -> None:
    agent = install()
    resources = agent.world.resources
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"

    async def forget(tasks: int) -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        _ = [loop.create_task(lock.acquire()) for _ in range(tasks)]
        await asyncio.sleep(0)

    loop.run_until_complete(forget(4))
    assert len(resources.waiting) == 4
    loop.close()
    gc.collect()
    assert resources.waiting == {}
    assert resources.statistics()["waiting"] == 0
