"""A cycle of tasks, each holding a lock and waiting for one that the next one holds."""

from typing import Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import (
    at,
    frame_place,
    opening,
    related,
    shown,
    taken_related,
    task_text,
)
from autoinstrument.detectors._waits import Edge, cycle_from, drawn, holder_goes_on
from autoinstrument.findings import Finding
from autoinstrument.places import first_place
from autoinstrument.records import TaskRecord, WaitRecord
from autoinstrument.world import World

KIND: Final = "lock_deadlock"
_OLD_NS: Final = 300_000_000
_MOST_LOOKS: Final = 100  # for cycles at each tick; the others come at the next ones


def attach(world: World) -> None:
    """Look when a wait begins, and again when it is old."""
    said: set[frozenset[int]] = set()
    looked: set[int] = set()  # numbers of old waits that had their turn

    def look(record: TaskRecord) -> None:
        cycle = cycle_from(world, record)
        if len(cycle) < 2 or not any(edge.lock is not None for edge in cycle):
            return
        key = frozenset(edge.waiter.serial for edge in cycle)
        if key not in said:
            said.add(key)
            world.report(_finding(cycle))

    def lock_waited(wait: WaitRecord) -> None:
        if wait.op == "acquire" and not holder_goes_on(world, wait):
            look(wait.task)

    def waited_for(now_ns: int, waits: list[WaitRecord]) -> None:
        old = [
            wait
            for wait in waits
            if wait.serial not in looked
            and now_ns - wait.started_ns > _OLD_NS
            and not holder_goes_on(world, wait)
        ]
        for wait in old[:_MOST_LOOKS]:
            looked.add(wait.serial)
            look(wait.task)
        if len(old) <= _MOST_LOOKS:
            looked.clear()

    world.moments.on("lock_waited", lock_waited)
    world.moments.on("locks_waited_for", waited_for)


def _finding(cycle: list[Edge]) -> Finding:
    start = next(edge for edge in cycle if edge.lock is not None)
    stack = start.waiter.wait.stack if start.waiter.wait is not None else ()
    place = frame_place(stack)
    lines = [_step(edge) for edge in cycle]
    message = (
        f"Deadlock: {len(cycle)} tasks wait for one another in a circle, so none of them can go "
        f"on: {drawn(cycle)}. {' '.join(lines)}"
    )
    finding = Finding(
        KIND,
        message,
        "Take the locks in the same order everywhere, or take one lock for both; do not await "
        "a task that needs a lock while holding it.",
        place,
        task=start.waiter.name,
        stack=shown(stack),
    )
    finding.key = tuple(sorted(edge.waiter.name for edge in cycle))
    for edge in cycle:
        wait = edge.waiter.wait
        waiting = wait.stack if wait is not None else stacks.parked(edge.waiter())
        finding.related += related("waiting", first_place(waiting), edge.waiter.name)
        if edge.hold is not None:
            finding.related += taken_related("holding", edge.hold, edge.blocker.name)
    return finding


def _step(edge: Edge) -> str:
    wait = edge.waiter.wait
    if edge.lock is None or edge.hold is None or wait is None:
        return f"{opening(edge.waiter)} awaits {task_text(edge.blocker)}."
    return (
        f"{opening(edge.waiter)} waits{at(first_place(wait.stack))} for "
        f"{edge.lock.kind} #{edge.lock.serial}, which {task_text(edge.blocker)} took"
        f"{at(first_place(edge.hold.stack))}."
    )
