"""Tasks await one another in a circle."""

from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import at, frame_place, related, shown, task_text
from autoinstrument.detectors._waits import Edge, cycle_from
from autoinstrument.records import Finding, TaskRecord
from autoinstrument.world import World

KIND: Final = "task_wait_cycle"
_MOST_LOOKS: Final = 500  # tasks looked at per tick


def attach(world: World) -> None:
    """Look on the tick at a part of the tasks, and at all of them when a loop ends."""
    said: set[frozenset[int]] = set()
    cursor = [0]

    def look(records: list[TaskRecord]) -> None:
        for record in records:
            task = record()
            waited = stacks.awaited(task) if task is not None else None
            if not _may_lead_on(world, waited):
                continue
            cycle = cycle_from(world, record)
            if not cycle or any(edge.lock is not None for edge in cycle):
                continue
            key = frozenset(edge.waiter.serial for edge in cycle)
            if key not in said:
                said.add(key)
                world.report(_finding(cycle))

    def tick(now_ns: int) -> None:
        records = list(world.tasks.live.values())
        if cursor[0] >= len(records):
            cursor[0] = 0
        look(records[cursor[0] : cursor[0] + _MOST_LOOKS])
        cursor[0] += _MOST_LOOKS

    def ending(*_: Any) -> None:
        look(list(world.tasks.live.values())[:20_000])

    world.moments.on("tick", tick)
    world.moments.on("loop_ending", ending)
    world.moments.on("loop_closing", ending)


def _may_lead_on(world: World, waited: Any) -> bool:
    """Whether an awaited future is a task, or hides one: a gather or a shield."""
    if waited is None:
        return False
    if id(waited) in world.tasks.live or hasattr(waited, "_children"):
        return True
    return world.inner_of_shield(waited) is not None


def _finding(cycle: list[Edge]) -> Finding:
    stack = stacks.parked(cycle[0].waiter())
    place = frame_place(stack)
    steps = [
        f"{task_text(edge.waiter)} awaits {task_text(edge.blocker)}"
        f"{at(frame_place(stacks.parked(edge.waiter())))}"
        for edge in cycle
    ]
    what = "A task awaits itself" if len(cycle) == 1 else f"{len(cycle)} tasks await one another"
    message = f"{what} in a circle, so none of them ever ends: {'; '.join(steps)}."
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
