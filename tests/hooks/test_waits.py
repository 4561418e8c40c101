"""Barriers, limiters and conditions: who waits, who has a token, under the right name."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from autoinstrument import ResourceMonitor
from autoinstrument.records import RawStack, wait_record
from tests.hooks.conftest import Install

State = tuple[list[str], list[str]]


def states(kind: str) -> list[State]:
    """Return holders and waiters of all objects of a kind."""
    locks = ResourceMonitor().locks()
    return [(lock["holders"], lock["waiters"]) for lock in locks if lock["kind"] == kind]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - nobody tells when the others wait
            await asyncio.sleep(0.001)


def start(names: str, function: Any, *args: Any) -> list["asyncio.Task[Any]"]:
    return [asyncio.create_task(function(*args), name=name) for name in names]


def functions(stack: RawStack) -> list[str]:
    return [code.co_name for code, _ in stack]


def waits() -> dict[str, int]:
    return {lock["kind"]: lock["waits"] for lock in ResourceMonitor().locks() if lock["waits"]}


def test_barrier_shows_who_waits_for_the_others(install: Install) -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(3)
        tasks = start("ab", barrier.wait)
        await until(lambda: barrier.n_waiting == 2)
        assert states("asyncio.Barrier") == [([], ["a", "b"])]
        tasks += start("c", barrier.wait)
        assert sorted(await asyncio.gather(*tasks)) == [0, 1, 2]
        assert states("asyncio.Barrier") == [([], [])]
        assert waits() == {"asyncio.Barrier": 2}

    install()
    asyncio.run(main())


def test_barrier_that_drains_shows_who_is_too_early(install: Install) -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(2)
        tasks = start("abcd", barrier.wait)
        await asyncio.sleep(0)
        early = states("asyncio.Barrier")
        assert sorted(await asyncio.gather(*tasks)) == [0, 0, 1, 1]
        assert early == [([], ["a", "c", "d"])]
        assert states("asyncio.Barrier") == [([], [])]

    install()
    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancel", "abort", "reset"])
def test_wait_at_a_barrier_that_is_broken_off_ends(install: Install, how: str) -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(2)
        (task,) = start("a", barrier.wait)
        await until(lambda: barrier.n_waiting == 1)
        if how == "cancel":
            task.cancel()
        else:
            await getattr(barrier, how)()
        await asyncio.wait([task])
        assert states("asyncio.Barrier") == [([], [])]
        event = asyncio.Event()
        (task,) = start("b", event.wait)
        await until(lambda: states("asyncio.Event") == [([], ["b"])])
        event.set()
        await task

    install()
    asyncio.run(main())


def test_limiter_shows_borrowers_and_who_waits(install: Install) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(2)
        leave = anyio.Event()

        async def work() -> None:
            async with limiter:
                await leave.wait()

        tasks = start("abc", work)
        await until(lambda: limiter.statistics().tasks_waiting == 1)
        assert states("anyio.CapacityLimiter") == [(["a", "b"], ["c"])]
        leave.set()
        await asyncio.gather(*tasks)
        assert states("anyio.CapacityLimiter") == [([], [])]
        assert waits()["anyio.CapacityLimiter"] == 1

    install()
    anyio.run(main)


def test_limiter_with_more_tokens_lets_the_waiting_task_hold_one(install: Install) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        limiter.acquire_nowait()
        (task,) = start("a", limiter.acquire)
        await until(lambda: limiter.statistics().tasks_waiting == 1)
        limiter.total_tokens = 2
        await task
        ((holders, waiting),) = states("anyio.CapacityLimiter")
        assert (len(holders), holders[1], waiting) == (2, "a", [])
        limiter.release_on_behalf_of(task)
        limiter.release()
        assert states("anyio.CapacityLimiter") == [([], [])]

    install()
    anyio.run(main)


@pytest.mark.parametrize("given", [False, True], ids=["while waiting", "token given already"])
def test_cancelled_wait_for_a_token_leaves_no_holder(install: Install, given: bool) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        limiter.acquire_nowait()
        (task,) = start("a", limiter.acquire)
        await until(lambda: limiter.statistics().tasks_waiting == 1)
        if given:
            limiter.release()
        task.cancel()
        await asyncio.wait([task])
        if not given:
            limiter.release()
        assert states("anyio.CapacityLimiter") == [([], [])]
        assert task.cancelled()

    install()
    anyio.run(main)


def test_limiter_of_threads_shows_the_tasks(install: Install) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)

        async def work() -> None:
            await anyio.to_thread.run_sync(time.sleep, 0.02, limiter=limiter)

        tasks = start("ab", work)
        await until(lambda: limiter.statistics().tasks_waiting == 1)
        assert states("anyio.CapacityLimiter") == [(["a"], ["b"])]
        (wait,) = map(wait_record, agent.world.resources.waiting.values())
        (hold,) = wait.lock.holds
        assert functions(wait.stack)[0] == functions(hold.stack)[0] == "run_sync"
        assert "work" in functions(hold.stack)
        await asyncio.gather(*tasks)
        assert states("anyio.CapacityLimiter") == [([], [])]

    agent = install()
    anyio.run(main)


def test_anyio_condition_shows_who_waits_and_then_who_wants_the_lock(install: Install) -> None:
    async def main() -> None:
        condition = anyio.Condition()

        async def work() -> None:
            async with condition:
                await condition.wait()

        tasks = start("ab", work)
        await until(lambda: condition.statistics().tasks_waiting == 2)
        assert states("anyio.Condition") == [([], ["a", "b"])]
        assert states("asyncio.Event") == []
        async with condition:
            condition.notify_all()
            await until(lambda: condition.statistics().lock_statistics.tasks_waiting == 2)
            assert states("anyio.Condition") == [([], [])]
            assert [waiting for _, waiting in states("anyio.Lock")] == [["a", "b"]]
        await asyncio.gather(*tasks)

    install()
    anyio.run(main)


def test_limiter_of_another_shape_is_left_alone(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = __import__("anyio._backends._asyncio", fromlist=["CapacityLimiter"])

    def release_on_behalf_of(self: Any, borrower: object) -> None:
        self._borrowers.discard(borrower)

    async def main() -> None:
        async with anyio.CapacityLimiter(1):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(backend.CapacityLimiter, "release_on_behalf_of", release_on_behalf_of)
        install()
        anyio.run(main)
    assert states("anyio.CapacityLimiter") == []
    text = capsys.readouterr().err
    assert [line for line in text.splitlines() if "limiters" in line and "hook-unverified" in line]
