"""Looks at tasks: since when they wait, told once, and not asked again where nothing moves."""

import asyncio

import pytest

from autoinstrument.monitors import shared_world
from autoinstrument.records import TaskRecord, WaitRecord

MS = 1_000_000


class Heard:
    """A world whose looks are driven by hand; `lasting` are the tasks that were told."""

    def __init__(self) -> None:
        self.world = shared_world()
        self.lasting: list[str] = []
        self.waits: list[int] = []
        self.world.moments.on("tasks_wait", self._tasks)
        self.world.moments.on("locks_waited_for", self._locks)
        self.now = 1_000 * MS

    def _tasks(self, records: list[TaskRecord]) -> None:
        self.lasting += [record.name for record in records]

    def _locks(self, now_ns: int, waits: list[WaitRecord]) -> None:
        self.waits.append(len(waits))

    def tick(self, *, still: bool = False) -> None:
        self.now += 50 * MS
        self.world.looks.still = still
        self.world.moments.fire("tick", self.now)

    def follow(self, task: "asyncio.Task[object]") -> TaskRecord:
        return self.world.tasks.task_created(task, task.get_coro(), None)


async def wait_for_each(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        await future


def test_each_wait_is_told_once_when_it_lasts() -> None:
    async def main() -> None:
        heard = Heard()
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(2)]
        task = asyncio.create_task(wait_for_each(futures), name="one")
        record = heard.follow(task)
        await asyncio.sleep(0)
        heard.tick()
        assert heard.lasting == []
        since = record.waits_since_ns
        assert since == heard.now
        for _ in range(4):
            heard.tick()
        assert heard.lasting == ["one"]
        assert record.waits_since_ns == since
        assert heard.world.looks.moved_ns == since
        futures[0].set_result(None)
        await asyncio.sleep(0)
        heard.tick()
        assert record.waits_since_ns == heard.world.looks.moved_ns == heard.now
        for _ in range(4):
            heard.tick()
        assert heard.lasting == ["one", "one"]
        futures[1].set_result(None)
        await task

    asyncio.run(main())


@pytest.mark.parametrize("count", [1, 1_300])
def test_tasks_are_left_alone_where_nothing_moves(count: int) -> None:
    async def main() -> None:
        heard = Heard()
        futures = [asyncio.get_running_loop().create_future() for _ in range(count)]
        tasks = [asyncio.create_task(wait_for_each([future])) for future in futures]
        records = [heard.follow(task) for task in tasks]
        await asyncio.sleep(0)
        for _ in range(20):
            heard.tick(still=True)
        assert sorted(heard.lasting) == sorted(record.name for record in records)
        assert heard.world.looks.is_done
        records[0].waiter_id = 1  # would be put right by a look
        heard.tick(still=True)
        assert records[0].waiter_id == 1
        for _ in range(10):
            heard.tick()
        assert records[0].waiter_id == id(futures[0])
        for future in futures:
            future.set_result(None)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_has_moved_sees_a_task_that_waits_for_something_else() -> None:
    async def main() -> None:
        heard = Heard()
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(2)]
        task = asyncio.create_task(wait_for_each(futures))
        heard.follow(task)
        assert heard.world.looks.has_moved()  # nobody has looked at it
        await asyncio.sleep(0)
        heard.tick()
        assert not heard.world.looks.has_moved()
        futures[0].set_result(None)
        await asyncio.sleep(0)
        assert heard.world.looks.has_moved()
        futures[1].set_result(None)
        await task

    asyncio.run(main())


def test_only_those_who_wait_for_a_lock_are_told_to_its_detectors() -> None:
    async def main() -> None:
        heard = Heard()
        lock, queue = asyncio.Lock(), asyncio.Queue[int]()
        start = heard.world.resources.wait_started
        end = asyncio.get_running_loop().create_future()

        async def wait(thing: object, op: str) -> None:
            start(thing, op, None)
            await end
            heard.world.resources.wait_ended(thing)

        tasks = [asyncio.create_task(wait(lock, "acquire")) for _ in range(3)]
        tasks.append(asyncio.create_task(wait(queue, "get")))
        for task in tasks:
            heard.follow(task)
        await asyncio.sleep(0)
        heard.tick()
        heard.tick()
        assert heard.waits == [3, 3]
        assert not heard.world.looks.is_done  # deadlocks are told after some time
        end.set_result(None)
        await asyncio.gather(*tasks)
        heard.tick()
        assert heard.waits == [3, 3]

    asyncio.run(main())
