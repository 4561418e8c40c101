"""A task ended while it held a lock, a permit or a token that nobody gives back."""

from typing import Any, Final

from autoinstrument.detectors._tools import at, frame_place, opening, related, shown
from autoinstrument.detectors._waits import helper_parent
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame
from autoinstrument.records import Hold, LockRecord, RawStack, WaitRecord
from autoinstrument.world import World

KIND: Final = "lock_held_at_task_end"
_WAITED_NS: Final = 200_000_000


def attach(world: World) -> None:
    """Look when somebody waits for such a lock, and when loops and the program end."""
    said: set[tuple[int, int]] = set()

    def look(lock: LockRecord, loop: Any = None, *, final: bool) -> None:
        for hold in list(lock.holds):
            if loop is not None and hold.owner.loop_id != id(loop):
                continue
            if (
                (lock.serial, hold.owner_serial) in said
                or not _is_over(world, hold)
                or not _taken_at(hold)
            ):
                continue
            if _is_signalling(lock, final=final) or _is_endless(lock):
                continue
            said.add((lock.serial, hold.owner_serial))
            world.report(_finding(world, lock, hold))

    def waited_for(now_ns: int, waits: list[WaitRecord]) -> None:
        for wait in waits:
            if now_ns - wait.started_ns > _WAITED_NS:
                look(wait.lock, final=False)

    def ending(loop: Any) -> None:
        for lock in list(world.resources.locks.values()):
            look(lock, loop, final=True)

    world.moments.on("locks_waited_for", waited_for)
    world.moments.on("loop_ending", ending)
    world.moments.on("loop_closing", ending)


def _is_over(world: World, hold: Hold) -> bool:
    return hold.owner.ended and helper_parent(world, hold).ended


def _is_signalling(lock: LockRecord, *, final: bool) -> bool:
    """Whether permits of a semaphore are used as signals rather than as a bound.

    A semaphore's permit counts only where the bound is really in use: somebody waited for
    it, and permits are otherwise given back by those who took them.
    """
    if "Semaphore" not in lock.kind:
        return False
    if lock.foreign_releases or lock.permits <= 0:
        return True
    return not lock.waits or not (lock.own_releases or not final)


def _is_endless(lock: LockRecord) -> bool:
    """Whether it is a limiter without a limit: nobody misses a token of it."""
    return "Limiter" in lock.kind and not lock.permits


def _taken_at(hold: Hold) -> list[RawStack]:
    """Return where the program took it; if that is not known, where it had done so before."""
    return [
        stack for stack in ([hold.stack] if hold.stack else hold.earlier) if has_user_frame(stack)
    ]


def _finding(world: World, lock: LockRecord, hold: Hold) -> Finding:
    place, *others = [frame_place(stack) for stack in _taken_at(hold)]
    what = {"Semaphore": "a permit of ", "CapacityLimiter": "a token of "}.get(
        lock.kind.rpartition(".")[2], ""
    )
    loss = (
        f"one of its {lock.permits} tokens is lost."
        if "Limiter" in lock.kind and lock.permits > 1
        else "everybody who asks for it now waits for ever."
    )
    waiting = world.resources.waiters_of(lock)
    blocked = ""
    if waiting:
        blocked = f" {opening(waiting[0].task)} waits for it"
        blocked += f" and {len(waiting) - 1} more." if len(waiting) > 1 else "."
    how = f" ({hold.owner.outcome})" if hold.owner.outcome not in {"", "ended"} else ""
    message = (
        f"{opening(hold.owner)} took {what}{lock.kind} #{lock.serial}"
        f"{at(place) if hold.stack else ''} and "
        f"ended{how} without giving it back; {loss}{blocked}"
    )
    if not hold.stack:
        before = ", ".join(place.short for place in (place, *others) if place is not None)
        message += (
            " Where it took it the last time is not known, since nobody had to wait for it then; "
            f"it was taken before: {before}."
        )
    finding = Finding(
        KIND,
        message,
        "Use `async with lock:`, or release in a `finally` block right after the acquisition; "
        "a cancellation can come at every `await` between the two.",
        place,
        task=hold.owner_name,
        stack=shown(hold.stack),
    )
    for other in others:
        finding.related += related("taken before", other)
    for wait in waiting[:4]:
        finding.related += related("waiting", frame_place(wait.stack), wait.task.name)
    return finding
