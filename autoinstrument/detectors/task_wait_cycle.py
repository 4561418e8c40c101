"""Tasks await one another in a circle."""

from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import at, frame_place, opening, related, shown, task_text
from autoinstrument.detectors._waits import Edge, awaited_tasks, cycle_from, drawn
from autoinstrument.findings import Finding
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

KIND: Final = "task_wait_cycle"


def attach(world: World) -> None:
    """Look at each wait that lasts, once, and at all waits when a loop ends."""
    checks = _Checks(world)
    world.moments.on("tasks_wait", checks.look)
    world.moments.on("loop_ending", checks.ending)
    world.moments.on("loop_closing", checks.ending)


class _Checks:
    def __init__(self, world: World) -> None:
        self._world = world
        self._said: set[frozenset[int]] = set()

    def look(self, records: list[TaskRecord]) -> None:
        """Judge the waits that have lasted since the last look."""
        for record in records:
            self._judge(record)

    def ending(self, *_: Any) -> None:
        """Judge all waits."""
        for record in list(self._world.tasks.live.values())[:20_000]:
            self._judge(record)

    def _judge(self, record: TaskRecord) -> None:
        task = record()
        if task is None or not awaited_tasks(self._world, task):
            return
        cycle = cycle_from(self._world, record)
        if not cycle or any(edge.lock is not None for edge in cycle):
            return
        key = frozenset(edge.waiter.serial for edge in cycle)
        if key not in self._said:
            self._said.add(key)
            self._world.report(_finding(cycle))


def _finding(cycle: list[Edge]) -> Finding:
    stack = stacks.parked(cycle[0].waiter())
    place = frame_place(stack)
    steps = [
        f"{opening(edge.waiter)} awaits {task_text(edge.blocker)}"
        f"{at(frame_place(stacks.parked(edge.waiter())))}"
        for edge in cycle
    ]
    what = "A task awaits itself" if len(cycle) == 1 else f"{len(cycle)} tasks await one another"
    message = f"{what} in a circle, so none of them ever ends: {drawn(cycle)}. {'. '.join(steps)}."
    finding = Finding(
        KIND,
        message,
        "Let one of them end by itself (an asyncio.Event that both watch), and await the tasks "
        "from outside, by the code that started them.",
        place,
        task=cycle[0].waiter.name,
        stack=shown(stack),
    )
    finding.key = tuple(sorted(edge.waiter.name for edge in cycle))
    for edge in cycle:
        parked = frame_place(stacks.parked(edge.waiter()))
        finding.related += related("waiting", parked, edge.waiter.name)
    return finding
