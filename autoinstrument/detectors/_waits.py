"""The wait graph: which task waits for which task or lock, and who has that lock."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autoinstrument import stacks
from autoinstrument.records import Hold, LockRecord, TaskRecord
from autoinstrument.world import World


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` waits for `blocker`, through a lock that the blocker has, or for its end."""

    waiter: TaskRecord
    blocker: TaskRecord
    lock: LockRecord | None = None
    hold: Hold | None = None


def edges(world: World, record: TaskRecord) -> Iterator[Edge]:
    """Yield what a task waits for at this moment."""
    wait = record.wait
    if wait is not None and wait.op == "acquire" and not wait.ended_ns:
        for hold in list(wait.lock.holds):
            yield Edge(record, helper_parent(world, hold), wait.lock, hold)
        return
    task = record()
    if task is None:
        return
    for other in awaited_tasks(world, task):
        yield Edge(record, other)


def awaited_tasks(world: World, task: Any) -> list[TaskRecord]:
    """Return the tasks that a suspended task awaits, directly or through gather and shield."""
    found: list[TaskRecord] = []
    pending = [stacks.awaited(task)]
    for _ in range(100):
        if not pending:
            break
        waited = pending.pop()
        if waited is None:
            continue
        record = world.tasks.live.get(id(waited))
        if record is not None and record() is waited:
            found.append(record)
            continue
        children = getattr(waited, "_children", None)
        if isinstance(children, list):
            pending.extend(child for child in children if not child.done())
            continue
        inner = world.inner_of_shield(waited)
        if inner is not None:
            pending.append(inner)
    return found


def helper_parent(world: World, hold: Hold) -> TaskRecord:
    """Return the task for which a helper task took a lock.

    Before Python 3.12 `wait_for(lock.acquire())` acquires in a task of its own.
    """
    owner = hold.owner
    if owner.qualname.rsplit(".", 1)[-1] == "acquire" and owner.creator:
        parent = world.tasks.find(owner.creator)
        if parent is not None:
            return parent
    return owner


def cycle_from(world: World, start: TaskRecord) -> list[Edge]:
    """Return the edges of a cycle through a task, or nothing.

    A semaphore blocks only when each of its holders is part of the deadlock; a task that
    awaits several others is blocked by each of them.
    """
    path: list[Edge] = []
    visited: set[int] = set()

    def visit(record: TaskRecord) -> bool:
        if record.serial in visited:
            return False
        visited.add(record.serial)
        for edge in edges(world, record):
            if edge.lock is not None and len(edge.lock.holds) > 1:
                continue  # another holder may give its permit back
            path.append(edge)
            if edge.blocker is start or visit(edge.blocker):
                return True
            path.pop()
        return False

    return list(path) if visit(start) else []
