"""Contention is told from a busy loop by what the holders of the lock do meanwhile."""

import asyncio
import time

import pytest

from autoinstrument.findings import Finding
from autoinstrument.monitors import shared_world
from autoinstrument.records import wait_record
from autoinstrument.world import World

MS = 1_000_000


@pytest.fixture
def world() -> World:
    return shared_world()


async def queue_up(
    world: World, *, holder_waits: bool, kind: str = "asyncio.Lock", places: int = 1
) -> list[Finding]:
    """Let one task wait for a lock from a first look at its holder to the hand-over."""
    lock, slow = asyncio.Lock(), asyncio.get_running_loop().create_future()

    async def hold() -> None:
        world.resources.acquired_by(lock, None, kind, places)
        await (slow if holder_waits else asyncio.sleep(0))

    async def wait() -> None:
        world.resources.wait_started(lock, "acquire", None, kind, places)
        await waited

    waited = asyncio.get_running_loop().create_future()
    holder, waiter = asyncio.create_task(hold()), asyncio.create_task(wait())
    for task in (holder, waiter):
        world.tasks.task_created(task, task.get_coro(), None)
    await asyncio.sleep(0)
    (entry,) = [entry for entry in world.resources.waiting.values() if entry[0]() is lock]
    entry[2] -= 2_000 * MS
    if not holder_waits:  # it has been made ready by its sleep(0), as on a loop that is behind
        assert not holder.done()
    world.moments.fire("tick", time.monotonic_ns())
    record = wait_record(entry)
    record.passed -= 3

    async def over() -> None:
        world.tasks.current = lambda: record.task  # type: ignore[method-assign]
        world.resources.wait_ended(lock)

    await over()
    for future in (slow, waited):
        future.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    return [found for found in world.findings.all() if found.kind == "lock_contention"]


def test_lock_kept_across_a_slow_await_is_contention(world: World) -> None:
    (finding,) = asyncio.run(queue_up(world, holder_waits=True))
    assert "waited 2." in finding.message  # and what it took to load the detector


def test_busy_loop_is_not_the_holders_fault(world: World) -> None:
    assert asyncio.run(queue_up(world, holder_waits=False)) == []


@pytest.mark.parametrize(("places", "found"), [(1, 1), (4, 0), (0, 0)], ids=["one", "four", "inf"])
def test_limiter_of_several_tokens_may_let_tasks_wait(
    world: World, places: int, found: int
) -> None:
    told = asyncio.run(
        queue_up(world, holder_waits=True, kind="anyio.CapacityLimiter", places=places)
    )
    assert len(told) == found
