"""Tasks wait long for a lock because its holders keep it across slow awaits."""

from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import at, frame_place, functions_of, opening, related, shown
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame
from autoinstrument.records import LockRecord, RawStack, WaitRecord
from autoinstrument.world import World

KIND: Final = "lock_contention"
_MOST: Final = 1_000  # locks whose holders are looked at


class _Holders:
    """What the holders of one contended lock were doing whenever the tick looked."""

    __slots__ = ("looks", "parked", "waiting")

    def __init__(self) -> None:
        self.looks = 0
        self.waiting = 0
        self.parked: RawStack = ()

    def look(self, task: Any) -> None:
        """Note whether the holder waits; one that is ready to run waits for the loop alone."""
        self.looks += 1
        waiter = stacks.awaited(task)
        if waiter is None or waiter.done():
            return
        self.waiting += 1
        parked = stacks.parked(task)
        if has_user_frame(parked):
            self.parked = parked

    @property
    def are_slow(self) -> bool:
        """Whether they keep the lock because of what they await, not because the loop is busy."""
        return not self.looks or self.waiting * 2 >= self.looks


def attach(world: World) -> None:
    """Look when a task has waited long for a lock; note now and then what the holders do."""
    least_ns = world.settings.lock_wait_ms * 1_000_000
    holders: dict[int, _Holders] = {}

    def waited_for(now_ns: int, waits: list[WaitRecord]) -> None:
        looked: set[int] = set()
        for wait in waits:
            lock = wait.lock
            if now_ns - wait.started_ns < 50_000_000:
                continue
            if lock.serial in looked or (len(holders) >= _MOST and lock.serial not in holders):
                continue
            looked.add(lock.serial)
            for hold in list(lock.holds[:1]):
                task = hold.owner()
                if task is not None:
                    holders.setdefault(lock.serial, _Holders()).look(task)
                    world.resources.watched.add(lock.serial)

    def lock_wait_ended(wait: WaitRecord) -> None:
        if wait.op != "acquire" or wait.how != "resolved" or _bounds(wait.lock):
            return
        waited_ns = wait.lock.waited.get(wait.task.serial, 0)
        known = holders.get(wait.lock.serial) or _Holders()
        if waited_ns >= least_ns and wait.after and known.are_slow:
            world.report(_finding(wait, world.resources.add_up_anew(wait), known.parked))
        if not wait.lock.waiting:
            holders.pop(wait.lock.serial, None)
            world.resources.watched.discard(wait.lock.serial)

    world.moments.on("locks_waited_for", waited_for)
    world.moments.on("lock_wait_ended", lock_wait_ended)


def _bounds(lock: LockRecord) -> bool:
    """Whether tasks are meant to wait for it: a limiter of several tokens bounds slow work."""
    return "Limiter" in lock.kind and lock.permits != 1


def _finding(wait: WaitRecord, took_ns: int, holder: RawStack) -> Finding:
    lock: LockRecord = wait.lock
    place = frame_place(wait.stack)
    slow = frame_place(holder)
    keeps = f" Its holders keep it while they await{at(slow)}." if slow is not None else ""
    names = ", ".join(f"{name}()" for name in functions_of(wait.stack)[:2])
    message = (
        f"{opening(wait.task)} waited {took_ns / 1e9:.1f} s for {lock.kind} "
        f"#{lock.serial}{at(place)}, which passed through {wait.after} other hands meanwhile (up "
        f"to {lock.max_waiters} tasks were waiting in {names}).{keeps}"
    )
    finding = Finding(
        KIND,
        message,
        "Do the slow part outside the lock and guard only the shared state, or allow several at "
        "once with a semaphore.",
        place,
        severity="warning",
        task=wait.task.name,
        stack=shown(wait.stack),
    )
    finding.related = related("held while awaiting", slow)
    return finding
