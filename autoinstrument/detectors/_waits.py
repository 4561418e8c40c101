"""The wait graph: which task waits for which task or lock, and who has that lock."""

from asyncio import ALL_COMPLETED
from collections.abc import Iterator
from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.records import Hold, LockRecord, TaskRecord, WaitRecord
from autoinstrument.world import World

_MOST_TASKS: Final = 10_000
_MOST_AWAITED: Final = 1_000
_HIDING: Final = frozenset({"_wait", "wait_for", "TaskGroup.__aexit__", "TaskGroup._aexit"})


class Edge:
    """`waiter` waits for `blocker`, through a lock that the blocker has, or for its end."""

    __slots__ = ("blocker", "hold", "lock", "waiter")

    def __init__(
        self,
        waiter: TaskRecord,
        blocker: TaskRecord,
        lock: LockRecord | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Note who waits for whom."""
        self.waiter = waiter
        self.blocker = blocker
        self.lock = lock
        self.hold = hold


def edges(world: World, record: TaskRecord) -> Iterator[Edge]:
    """Yield what a task waits for at this moment."""
    wait = record.wait
    if wait is not None and wait.op == "acquire" and not wait.ended_ns:
        holds = list(wait.lock.holds)
        if "Limiter" in wait.lock.kind and len(holds) < wait.lock.permits:
            return  # the other tokens are lent to objects or on their way to the next task
        for hold in holds:
            yield Edge(record, helper_parent(world, hold), wait.lock, hold)
        return
    task = record()
    if task is None:
        return
    for other in awaited_tasks(world, task):
        yield Edge(record, other)


def awaited_tasks(world: World, task: Any) -> list[TaskRecord]:
    """Return the tasks that a suspended task awaits.

    Directly, or through gather, shield, `asyncio.wait()`, `wait_for()` or the end of a task group.
    """
    found: list[TaskRecord] = []
    pending = [stacks.awaited(task)]
    if pending[0] is not None and id(pending[0]) not in world.tasks.live:
        pending += _behind_library_code(task)
    for _ in range(_MOST_AWAITED):
        if not pending:
            break
        waited = pending.pop()
        if waited is None:
            continue
        record = world.tasks.live.get(id(waited))
        if record is not None and record() is waited:
            if not record.ended:
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


def _behind_library_code(task: Any) -> list[Any]:
    """Return what a task waits for in a function of asyncio or anyio that hides it.

    Waiting for the first of several, or for a bounded time, is left out: the task will go on.
    """
    for qualname, names in stacks.library_locals(task, _HIDING):
        if qualname == "_wait":
            if names.get("return_when") == ALL_COMPLETED and names.get("timeout") is None:
                return list(names.get("fs") or ())
        elif qualname == "wait_for":
            return [names.get("fut")]
        else:
            return list(getattr(names.get("self"), "_tasks", None) or ())
    return []


def drawn(cycle: list[Edge]) -> str:
    """Draw a cycle: `"a" -> asyncio.Lock #2 -> "b" -> asyncio.Lock #1 -> "a"`."""
    steps = []
    for edge in cycle:
        steps.append(f'"{edge.waiter.name}"')
        if edge.lock is not None:
            steps.append(f"{edge.lock.kind} #{edge.lock.serial}")
    return " -> ".join([*steps, f'"{cycle[0].waiter.name}"'])


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


def holder_goes_on(world: World, wait: WaitRecord) -> bool:
    """Whether nobody has the lock or who has it waits for nothing, so that there is no cycle.

    The tracker has asked the same of the holders themselves, which may be helper tasks.
    """
    holds = wait.lock.holds
    for hold in holds:
        owner = helper_parent(world, hold)
        if owner.open_wait is None and stacks.awaited(owner()) is None:
            return True
    return not holds


def cycle_from(world: World, start: TaskRecord) -> list[Edge]:
    """Return the edges of a deadlock in which a task is stuck, or nothing.

    A lock blocks its waiter while its holder is stuck; a semaphore or a limiter only when each
    of its holders is. A task that awaits others is stuck when one of them is.
    """
    stuck = _stuck(_reachable(world, start))
    if start.serial not in stuck:
        return []
    path: list[Edge] = []
    visited: set[int] = set()

    def visit(record: TaskRecord) -> bool:
        visited.add(record.serial)
        for edge in stuck.get(record.serial, ()):
            path.append(edge)
            back = edge.blocker is start
            if back or (edge.blocker.serial not in visited and visit(edge.blocker)):
                return True
            path.pop()
        return False

    return list(path) if visit(start) else []


def _reachable(world: World, start: TaskRecord) -> dict[int, list[Edge]]:
    """Return the edges of all tasks that a task waits for, directly or not."""
    found: dict[int, list[Edge]] = {}
    pending = [start]
    while pending and len(found) < _MOST_TASKS:
        record = pending.pop()
        if record.serial in found:
            continue
        found[record.serial] = list(edges(world, record))
        pending.extend(edge.blocker for edge in found[record.serial])
    return found


def _stuck(graph: dict[int, list[Edge]]) -> dict[int, list[Edge]]:
    """Remove tasks that can go on until only those are left that cannot."""
    stuck = dict(graph)
    changed = True
    while changed:
        changed = False
        for serial, waits in list(stuck.items()):
            through_lock = any(edge.lock is not None for edge in waits)
            blocked = [edge.blocker.serial in stuck for edge in waits]
            if not waits or not (all(blocked) if through_lock else any(blocked)):
                del stuck[serial]
                changed = True
    return {
        serial: [edge for edge in waits if edge.blocker.serial in stuck]
        for serial, waits in stuck.items()
    }
