"""Locks that were taken often without a wait: what is still known of them, in real programs."""

import asyncio
import gc
import linecache
import weakref
from time import monotonic_ns
from typing import Any

import anyio
import pytest

from autoinstrument.records import LockRecord
from tests.hooks.conftest import Install

OFTEN = LockRecord.NEWS + 20


async def take_often(lock: Any, times: int = OFTEN) -> None:
    for _ in range(times):
        async with lock:
            pass


def records(agent: Any) -> list[LockRecord]:
    return list(agent.world.resources.locks.values())


def kinds(agent: Any) -> list[str]:
    return [finding.kind for finding in agent.findings.all()]


LOCKS = pytest.mark.parametrize("make", [asyncio.Lock, anyio.Lock], ids=["asyncio", "anyio"])


@pytest.mark.parametrize("make", [asyncio.Lock, lambda: asyncio.Semaphore(2)], ids=["lock", "two"])
def test_calm_lock_knows_its_holder_and_counts_exactly(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await take_often(lock)
        (record,) = records(agent)
        assert agent.world.resources.calm == {id(lock): record}
        assert record.known_holds == []
        assert record.acquired == OFTEN
        async with lock:
            (hold,) = record.holds
            assert hold.owner is agent.world.tasks.current()
            assert hold.stack == ()  # the same task had taken it elsewhere: it is not looked up
            (before,) = hold.earlier
            assert "take_often" in [code.co_name for code, _ in before]
        assert record.holds == []
        assert record.acquired == OFTEN + 1

    asyncio.run(main())
    assert agent.world.resources.statistics()["acquired"] == OFTEN + 1


@LOCKS
def test_holder_of_a_calm_lock_is_another_task_each_time(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await take_often(lock)
        (record,) = records(agent)

        async def once() -> None:
            async with lock:
                (hold,) = record.holds
                assert hold.owner is agent.world.tasks.current()

        for _ in range(3):
            await asyncio.create_task(once())
        assert (record.key in agent.world.resources.calm) is (make is asyncio.Lock)

    asyncio.run(main())


@pytest.mark.parametrize("make", [asyncio.Lock, lambda: asyncio.Semaphore(2)], ids=["lock", "two"])
def test_calm_lock_knows_where_another_task_took_it(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await take_often(lock)
        (record,) = records(agent)

        async def elsewhere(times: int) -> None:
            for _ in range(times):
                await take_often(lock, 1)
            async with lock:
                (hold,) = record.holds
                where = hold.earlier[0] if times else hold.stack
                names = [code.co_name for code, _ in where]
                assert "elsewhere" in names
                assert ("take_often" in names) is bool(times)
                assert bool(hold.stack) is bool(hold.at_ns) is not bool(times)

        for times in (0, 1, 0):
            await asyncio.create_task(elsewhere(times))
        assert agent.world.resources.calm == {id(lock): record}
        assert record.holds == record.known_holds == []

    asyncio.run(main())
    assert agent.world.resources.statistics()["acquired"] == OFTEN + 4


def test_calm_locks_that_are_taken_in_turns_are_not_confused(install: Install) -> None:
    agent = install()

    async def main() -> None:
        things: list[Any] = [
            make()
            for make in (asyncio.Lock, asyncio.Lock, lambda: asyncio.Semaphore(2)) * 2
            for _ in range(2)
        ]
        for thing in things:
            await take_often(thing)
        known = agent.world.resources.calm
        for _ in range(3):
            for thing in things:
                async with thing:
                    held = [key for key, record in known.items() if record.holds]
                    assert held == [id(thing)]
                    assert known[id(thing)].held == 1
        assert {record.acquired for record in known.values()} == {OFTEN + 3}
        assert agent.world.resources.statistics()["released"] == len(things) * (OFTEN + 3)

    asyncio.run(main())


@pytest.mark.parametrize("make", [asyncio.Lock, lambda: asyncio.Semaphore(1)], ids=["lock", "one"])
def test_lock_taken_after_somebody_waited_for_it_is_recorded_in_full(
    install: Install, make: Any
) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await take_often(lock)
        async with lock:
            waiting = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0)
        await waiting
        lock.release()
        async with lock:
            (hold,) = records(agent)[0].holds
            assert hold.at_ns
            assert "main" in [code.co_name for code, _ in hold.stack]

    asyncio.run(main())


@LOCKS
def test_wait_ends_the_calm_and_finds_the_deadlock(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        first, second = make(), make()
        await take_often(first)
        await take_often(second)
        assert len(agent.world.resources.calm) == (2 if make is asyncio.Lock else 0)

        async def both(one: Any, other: Any) -> None:
            async with one:
                await asyncio.sleep(0)
                async with other:
                    raise AssertionError("unreachable")

        tasks = [
            asyncio.create_task(both(first, second), name="ab"),
            asyncio.create_task(both(second, first), name="ba"),
        ]
        await asyncio.sleep(0.01)
        assert agent.world.resources.calm == {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert kinds(agent) == ["lock_deadlock"]
    message = agent.findings.all()[0].message
    assert '"ab"' in message
    assert '"ba"' in message


@LOCKS
def test_calm_lock_forgotten_by_a_task_is_found(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await take_often(lock)

        async def forgetful() -> None:
            await lock.acquire()

        await asyncio.create_task(forgetful(), name="forgetful")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.acquire(), 0.5)

    asyncio.run(main())
    assert "lock_held_at_task_end" in kinds(agent)


@pytest.mark.parametrize("same_task", [False, True], ids=["another task", "the same task"])
def test_place_of_a_forgotten_calm_lock_is_the_right_one_or_said_to_be_unknown(
    install: Install, same_task: bool
) -> None:
    agent = install()

    async def main() -> None:
        lock = asyncio.Lock()

        async def often() -> None:
            await take_often(lock)

        async def forgetful() -> None:
            if same_task:
                await often()
            await lock.acquire()  # the right line

        await often()
        await asyncio.create_task(forgetful(), name="forgetful")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.acquire(), 0.4)

    asyncio.run(main())
    (finding,) = [f for f in agent.findings.all() if f.kind == "lock_held_at_task_end"]
    assert finding.task == "forgetful"
    assert finding.location is not None
    line = linecache.getline(__file__, finding.location.line)
    if same_task:
        assert "async with lock" in line
        assert "Where it took it the last time is not known" in finding.message
        assert f"before: test_calm_locks.py:{finding.location.line}" in finding.message
    else:
        assert "# the right line" in line
        assert "not known" not in finding.message


def test_reentry_of_a_calm_lock_names_a_place_only_as_one_of_before(install: Install) -> None:
    agent = install()

    async def main() -> None:
        lock = asyncio.Lock()
        await take_often(lock)
        async with lock:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.01, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await lock.acquire()
            task.uncancel()

    asyncio.run(main())
    (finding,) = [f for f in agent.findings.all() if f.kind == "lock_reentry"]
    assert "which it took itself; it waits" in finding.message
    assert [(place.role, place.place.function) for place in finding.related] == [
        ("taken before", "take_often")
    ]


def test_permit_of_a_calm_semaphore_given_back_by_another_task(install: Install) -> None:
    agent = install()

    async def main() -> None:
        semaphore = asyncio.Semaphore(2)
        await take_often(semaphore)
        (record,) = records(agent)

        async def take() -> None:
            await semaphore.acquire()

        async def give() -> None:
            semaphore.release()

        await asyncio.create_task(take())
        assert len(record.holds) == 1
        await asyncio.create_task(give())
        assert record.holds == []
        assert record.foreign_releases == 1

    asyncio.run(main())


def test_permits_of_a_calm_semaphore_are_kept_when_another_task_takes_one(install: Install) -> None:
    agent = install()

    async def main() -> None:
        semaphore = asyncio.Semaphore(5)
        await take_often(semaphore)
        (record,) = records(agent)
        me = agent.world.tasks.current()
        for _ in range(2):
            await semaphore.acquire()
        assert [hold.owner for hold in record.holds] == [me, me]

        async def other() -> None:
            async with semaphore:
                *mine, hers = record.holds
                assert [hold.owner for hold in mine] == [me, me]
                assert hers.owner is agent.world.tasks.current()
                assert [bool(hold.stack) for hold in record.holds] == [False, False, True]
                assert record.held == 3

        await asyncio.create_task(other())
        for left in (1, 0):
            semaphore.release()
            assert [hold.owner for hold in record.holds] == [me] * left
        assert (record.foreign_releases, agent.world.resources.calm) == (0, {id(semaphore): record})

    asyncio.run(main())
    statistics = agent.world.resources.statistics()
    assert statistics["acquired"] == statistics["released"] == OFTEN + 3


def test_free_anyio_lock_knows_holder_place_and_time_however_often_it_was_taken(
    install: Install,
) -> None:
    agent = install()

    async def main() -> None:
        lock = anyio.Lock()
        await take_often(lock)
        (record,) = records(agent)
        assert record.holds == []
        before_ns = monotonic_ns()
        async with lock:
            (hold,) = record.holds
            assert hold.owner is agent.world.tasks.current()
            assert [code.co_name for code, _ in hold.stack][:2] == ["__aenter__", "main"]
            assert before_ns <= hold.at_ns <= monotonic_ns()
        assert record.holds == []
        assert agent.world.resources.calm == {}

    asyncio.run(main())
    assert agent.world.resources.statistics()["acquired"] == OFTEN + 1
    assert agent.world.scopes.entered == 0  # anyio's own checkpoints are nobody's scopes


def test_refusals_of_an_anyio_lock_are_found(install: Install) -> None:
    agent = install()

    async def main() -> None:
        lock = anyio.Lock()
        await take_often(lock)
        (record,) = records(agent)

        async def other() -> None:
            with pytest.raises(RuntimeError):
                lock.release()

        async with lock:
            await asyncio.create_task(other(), name="other")
            assert [hold.owner_name for hold in record.holds] == ["owner"]
            with pytest.raises(RuntimeError):
                await lock.acquire()

    async def named() -> None:
        await asyncio.create_task(main(), name="owner")

    asyncio.run(named())
    assert kinds(agent) == ["lock_released_by_other_task", "lock_reentry"]
    assert 'main() by task "owner"' in agent.findings.all()[0].message


@pytest.mark.parametrize("make", [anyio.Lock, lambda: anyio.Semaphore(1)], ids=["lock", "one"])
def test_task_cancelled_when_the_lock_is_its_own_waits_no_more(install: Install, make: Any) -> None:
    agent = install()

    async def main() -> None:
        lock = make()
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        waiting = agent.world.resources.waiting
        await asyncio.sleep(0)
        assert len(waiting) == 1
        lock.release()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert waiting == {}
        (record,) = records(agent)
        assert (record.waiting, record.acquired, record.holds) == (0, 1, [])
        assert record.foreign_releases == 0

    asyncio.run(main())


def test_calm_lock_keeps_no_task_alive(install: Install) -> None:
    install()

    async def main() -> weakref.ref[Any]:
        lock = asyncio.Lock()
        await take_often(lock)
        task = asyncio.create_task(take_often(lock, 3))
        await task
        gone = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
        return gone

    asyncio.run(main())
