"""What the exporters know of live tasks is kept up to date, and never gone through as a whole."""

import asyncio
from typing import Any

from autoinstrument.agent import Agent
from autoinstrument.config.schema import Settings
from autoinstrument.export.collect import Collector
from autoinstrument.export.live_tasks import KnownTasks, LiveTasks
from autoinstrument.records import RETURNED


class Task:
    """What is read of a record."""

    looks = 0

    def __init__(self, serial: int, creator: int = 0) -> None:
        self.serial = serial
        self.creator = creator
        self.created_ns = serial * 10
        self.over = False
        self.last_name = ""

    @property
    def ended_ns(self) -> int:
        Task.looks += 1
        return int(self.over)


def live(*tasks: Any) -> LiveTasks:
    return LiveTasks(tasks)


def test_tasks_are_found_until_they_are_over() -> None:
    first, second = Task(1), Task(2, creator=1)
    known: Any = live(second, first)
    assert [*known] == [first, second]
    assert (known.get(2), known.get(3), len(known)) == (second, None, 2)
    known.ended([second])
    assert (known.get(2), [*known]) == (None, [first])


def test_task_that_is_over_by_now_is_there_for_its_children() -> None:
    over = Task(1)
    over.over = True
    known: Any = live(over)
    assert known.get(1) is over
    known.ended([])
    assert known.get(1) is None


def test_task_that_ended_unseen_is_dropped_when_its_turn_comes() -> None:
    tasks = [Task(serial, creator=serial - 1) for serial in range(1, 20_001)]
    known: Any = live(*tasks)
    tasks[7].over = tasks[19_000].over = True
    Task.looks = 0
    known.ended([])
    assert Task.looks <= 5_000
    for _ in range(3):
        known.ended([])
    assert Task.looks <= 20_000
    assert (len(known), known.get(8), known.get(19_001)) == (19_998, None, None)


def test_creators_without_live_tasks_are_forgotten() -> None:
    known: Any = live(Task(2, creator=1), Task(4, creator=3))
    assert known.creators == {1, 3}
    known.ended([Task(2)])
    known.ended([])
    known.ended([])
    assert known.creators == {3}


def test_old_tasks_are_given_out_once_and_still_known() -> None:
    tasks = [Task(serial) for serial in range(1, 6)]
    known: Any = live(*tasks)
    assert known.grown_old(30, 2) == tasks[:2]
    assert known.grown_old(30, 2) == tasks[2:3]
    assert known.grown_old(30, 2) == []
    assert known.get(1) is tasks[0]
    assert {*known} == {*tasks}
    known.ended([tasks[0]])
    assert known.get(1) is None


def test_parents_are_found_in_the_batch_and_among_live_tasks() -> None:
    old, child, outliving, other = Task(1), Task(3, 2), Task(4, 2), Task(5, 1)
    ended = Task(2, 1)
    known = KnownTasks([ended, child], live(old, outliving, other))  # type: ignore[list-item]
    found: list[Any] = [known.get(serial) for serial in (1, 2, 9)]
    assert found == [old, ended, None]
    created: Any = known.created_by({2, 3})
    assert created == [outliving]
    old.last_name = ended.last_name = "main"
    outliving.last_name = "other"
    assert known.named({"main", "nobody"}) == {"main": ended}


def test_collector_adds_what_is_new_and_drops_what_is_over() -> None:
    world = Agent(Settings(), []).world
    collector = Collector(world)

    async def main() -> tuple[list[str], list[str], list[str]]:
        tasks = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(3)]
        for number, task in enumerate(tasks):
            task.set_name(f"t{number}")
            world.tasks.record_of(task)
        seen = [sorted(task.name for task in collector.batch().live)]
        record = world.tasks.record_of(tasks[1])
        assert record is not None
        world.tasks.task_ended(record, RETURNED)
        seen.append(sorted(task.name for task in collector.batch().live))
        late = asyncio.ensure_future(asyncio.sleep(60))
        late.set_name("late")
        world.tasks.record_of(late)
        seen.append(sorted(task.name for task in collector.batch().live))
        for task in (*tasks, late):
            task.cancel()
        return seen[0], seen[1], seen[2]

    assert asyncio.run(main()) == (["t0", "t1", "t2"], ["t0", "t2"], ["late", "t0", "t2"])


def test_child_of_a_fork_knows_none_of_its_parents_tasks() -> None:
    world = Agent(Settings(), []).world
    collector = Collector(world)

    async def main() -> list[str]:
        inherited, own = (asyncio.ensure_future(asyncio.sleep(60)) for _ in range(2))
        world.tasks.record_of(inherited)
        collector.batch()
        collector.after_fork()
        own.set_name("own")
        world.tasks.record_of(own)
        found = [task.name for task in collector.batch().live]
        inherited.cancel()
        own.cancel()
        return found

    assert asyncio.run(main()) == ["own"]
