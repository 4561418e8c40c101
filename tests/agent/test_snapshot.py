"""A snapshot of all live tasks, from their records."""

import asyncio
import json
import time

import pytest

from autoinstrument import env, looks, snapshot
from autoinstrument.monitors import shared_world


async def wait_for(future: "asyncio.Future[None]") -> None:
    await future


def test_snapshot_tells_each_live_task_and_names_none() -> None:
    async def main() -> None:
        world = shared_world()
        loop = asyncio.get_running_loop()
        end, over = loop.create_future(), loop.create_future()
        over.set_result(None)
        waiting = asyncio.create_task(wait_for(end), name="waiting")
        done = asyncio.create_task(wait_for(over))
        records = [
            world.tasks.task_created(task, task.get_coro(), None) for task in (waiting, done)
        ]
        await asyncio.sleep(0)
        world.moments.fire("tick", time.monotonic_ns())
        assert done.done()

        taken = snapshot.take(world)

        (task,) = taken.tasks()
        assert task.serial == records[0].serial
        assert task.function == "wait_for"
        assert task.name == ("" if env.HAS_MONITORING else "waiting")  # as far as it was read
        assert 0 < task.waits_since_ns <= taken.began_ns
        (document,) = taken.documents()
        assert json.loads(json.dumps(document))["function"] == "wait_for"
        assert document["parked_s"] == (taken.began_ns - task.waits_since_ns) / 1e9
        end.set_result(None)
        await waiting

    asyncio.run(main())


def test_snapshot_says_where_tasks_were_made_and_what_they_wait_for() -> None:
    async def main() -> None:
        world = shared_world()
        end = asyncio.get_running_loop().create_future()
        lock = asyncio.Lock()

        async def blocked() -> None:
            world.resources.wait_started(lock, "acquire", None, "asyncio.Lock")
            await end

        task = asyncio.create_task(blocked())
        world.tasks.task_created(task, task.get_coro(), None)
        await asyncio.sleep(0)
        (document,) = snapshot.take(world).documents()
        assert document["waits_for"] == "asyncio.Lock #1"
        assert document["created_at"] is None  # it was not told
        assert document["age_s"] > 0
        assert document["parked_s"] == 0  # nobody has looked at it yet
        end.set_result(None)
        await task

    asyncio.run(main())


def test_snapshot_of_many_gives_way_and_holds_on_to_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        world = shared_world()
        end = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(wait_for(end)) for _ in range(2_000)]
        for task in tasks:
            world.tasks.task_created(task, task.get_coro(), None)
        await asyncio.sleep(0)
        given: list[float] = []
        monkeypatch.setattr(looks, "_give_way", given.append)
        monkeypatch.setattr(looks, "_GIVE_WAY_NS", 0)
        taken = snapshot.take(world)
        assert len(taken) == 2_000

        assert len(given) >= 4
        end.set_result(None)
        await asyncio.gather(*tasks)
        record = world.tasks.live[id(tasks[0])]
        del task, tasks
        await asyncio.sleep(0)
        assert record() is None

    asyncio.run(main())
