"""Locks, semaphores, conditions, events and queues: their records, and who waits for them.

Theory of operation. A wait is one list (`records.OpenWait`), kept by the task that waits, and
becomes a record when somebody asks. Woven code writes it and takes it away where nothing else is to
be done (`hooks/lock_edits.py`). Its place is read from the waiting task when somebody asks, and
written down at its end only if it goes on to exporters or detectors. Detectors are told of the
beginning of a wait if its end is in doubt: nobody who has the lock is ready to run. Of its end they
are told if it was broken off, or if this task has waited too long for this lock, all its waits
taken together.

Some things are built of others: a barrier waits through its condition, a limiter and anyio's
condition through an event. Their wait *covers* what the task waits for inside: the inner waits
begin and end within it and are not recorded, so that the task is seen at what it was written to
wait for.
"""

import sys
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture_flat
from autoinstrument.records import (
    ContendedHold,
    EndedWait,
    Hold,
    LockRecord,
    OpenWait,
    TaskRecord,
    WaitRecord,
    ended_wait,
    wait_record,
)
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.outbox import SHORT_WAIT_NS
from autoinstrument.trackers.tasks import TaskTracker

_MOST_WAITED: Final = 1_000  # tasks whose waits for one lock are added up
_SHORT: Final = 1_000  # part of what a task is told of: many waits below it are no contention
_COVERING: Final = frozenset({"asyncio.Barrier", "anyio.CapacityLimiter", "anyio.Condition"})


nothing: Final[Callable[[], Any]] = weakref.ref(set())
"""Stands in for the record of a lock: a reference to what is gone; to call it takes no frame."""


class Last:
    """What woven code has found last: it looks there first.

    `lock` and `semaphore` are the records of calm ones, `owned` is that of a lock of anyio,
    `lively` that of something that was waited for, and `task` that of the task that did so.
    """

    __slots__ = ("lively", "lock", "owned", "semaphore", "task")

    def __init__(self) -> None:
        """Begin with none."""
        self.lock: Callable[[], Any] = nothing
        self.semaphore: Callable[[], Any] = nothing
        self.owned: Callable[[], Any] = nothing
        self.lively: Callable[[], Any] = nothing
        self.task: Callable[[], Any] = nothing


class WaitTracker:
    """Owns the records of synchronisation objects, by identity, and of the waits for them."""

    def __init__(
        self,
        moments: Moments,
        tasks: TaskTracker,
        stack_depth: int = 8,
        contended_ns: int = 1_000_000_000,
    ) -> None:
        """Start empty; see `TaskTracker` for the other arguments.

        A task that has waited `contended_ns` nanoseconds in all for one lock is told of.
        """
        self.locks: dict[int, LockRecord] = {}
        self.calm: dict[int, LockRecord] = {}  # those of `locks` that are calm
        self.last = Last()
        self.lively: dict[int, LockRecord] = {}  # those that have been taken and are not
        self.waiting: dict[int, OpenWait] = {}  # by the number of the task
        self.outbox: deque[WaitRecord | EndedWait] | None = None  # ended waits for the exporters
        self.held: deque[ContendedHold] | None = None  # ended contended holds, for them too
        self.contended = 0  # how many went there
        self.waits = 0
        self.contended_ns = contended_ns
        self.short_ns = contended_ns // _SHORT  # waits below it are not added up
        self.watched: set[int] = set()  # serials of locks of which each wait's end is told
        self.created = 0
        self.stack_depth = stack_depth
        self.consumers: dict[int, list[TaskRecord]] = {}
        self._acquired_by_gone = 0
        self._forget_at = 1_000
        self._strays = 0  # waits that nobody was found to have, since the dead were forgotten
        self._moments = moments
        self._tasks = tasks
        self._live = tasks.live

    def lock_of(self, lock: Any, kind: str = "", permits: int = 1) -> LockRecord:
        """Return the record of a lock, made at its first use."""
        key = id(lock)
        record = self.locks.get(key)
        if record is not None and record() is lock:
            return record
        record = LockRecord(lock, self._gone)
        self.created += 1
        record.key = key
        record.serial = self.created
        record.kind = kind or type(lock).__name__
        record.permits = permits
        record.news = LockRecord.NEWS
        record.owner = record.taker = record.hold = None
        record.taken_ns = record.placed = 0
        record.place = ()
        record.places = []
        record.known_holds = []
        record.waited = {}
        record.again = record.acquired = record.waits = record.waiting = record.max_waiters = 0
        record.wait_total_ns = record.wait_max_ns = 0
        record.handovers = record.own_releases = record.foreign_releases = 0
        self.locks[key] = record
        return record

    def _gone(self, record: LockRecord) -> None:
        key = record.key
        if self.locks.get(key) is record:
            del self.locks[key]
            self.calm.pop(key, None)
            self.lively.pop(key, None)
            self.consumers.pop(key, None)
            self._acquired_by_gone += record.acquired

    def wait_started(
        self,
        lock: Any,
        op: str,
        frame: FrameType | None = None,
        kind: str = "",
        permits: int = 1,
    ) -> None:
        """Record that the running task begins to wait for a lock, queue, event or condition.

        `frame` is where, if that is not the frame of the caller, and is written down then. Woven
        code does the same itself where nothing is to be told (`hooks/lock_edits.py`).
        """
        task = self._tasks.current()
        if task is None or (task.open_wait is not None and task.open_wait[0].kind in _COVERING):
            return
        key = id(lock)
        record = self.locks.get(key) or self.lock_of(lock, kind, permits)
        self.waits += 1
        wait = [record, op, monotonic_ns(), self.waits, record.handovers, task, None]
        self.waiting.pop(task.serial, None)
        task.open_wait = self.waiting[task.serial] = wait
        if frame is not None:
            wait_record(wait).flat_stack = capture_flat(frame, self.stack_depth, task)
        if not task.last_name:
            task.remember_name()
        record.waits += 1
        record.waiting = waiting = record.waiting + 1
        if waiting > record.max_waiters:
            record.max_waiters = waiting
            if len(self.waiting) > self._forget_at:
                self._forget_the_dead()
        if op == "acquire":
            record.news = LockRecord.NEWS
            if key in self.calm:
                self._wake(self.calm.pop(key))
            owner = record.owner
            if not _runs(owner) if owner is not None else not _one_runs(record.known_holds):
                made = wait_record(wait)
                if made.flat_stack is None:
                    made.flat_stack = capture_flat(sys._getframe(1), self.stack_depth, task)
                self._moments.fire("lock_waited", made)

    def wait_over(self, lock: Any, future: Any) -> None:
        """Record that the running task waits no more; it was resolved if the future has a result.

        Woven code does the same itself for almost every wait.
        """
        wait = self._own_wait(lock)
        if wait is not None:
            resolved = future.done() and not future.cancelled()
            self._end(wait, resolved=resolved, frame=sys._getframe(1))

    def wait_ended(self, lock: Any, *, resolved: bool = True) -> None:
        """Record that the running task waits no more for a lock."""
        wait = self._own_wait(lock)
        if wait is not None:
            self._end(wait, resolved=resolved, frame=None)

    def _own_wait(self, lock: Any) -> OpenWait | None:
        """Return the running task's wait for a lock, if that was recorded.

        Where it was not, the coroutine of a task that was destroyed may be closed by someone else.
        """
        task = self._tasks.current()
        wait = task.open_wait if task is not None else None
        if wait is None:
            self._strays += 1
            if 2 * self._strays > len(self.waiting) > 0:
                self._forget_the_dead()
            return None
        return wait if wait[0].key == id(lock) else None

    def add_up_anew(self, wait: WaitRecord) -> int:
        """Return how long a task has waited for a lock in all, and begin at nothing again."""
        return wait.lock.waited.pop(wait.task.serial, 0)

    def waiters_of(self, record: LockRecord) -> list[WaitRecord]:
        """Return the waits for one lock, oldest first."""
        return [wait_record(wait) for wait in list(self.waiting.values()) if wait[0] is record]

    def _wake(self, record: LockRecord) -> None:
        """End the calm of a lock: what is known of the holders of a semaphore becomes holds."""
        self.last.lock = self.last.semaphore = nothing
        if record.owner is None:
            record.known_holds = record.holds
            record.again = 0
        record.news = LockRecord.NEWS
        self.lively[record.key] = record

    def _forget_the_dead(self) -> None:
        """Drop waits whose task was destroyed in the middle of them."""
        for wait in list(self.waiting.values()):
            if wait[5].ended:
                self._end(wait, resolved=False, frame=None, told=False)
        self._forget_at = 2 * len(self.waiting) + 1_000
        self._strays = 0

    def _end(
        self, wait: OpenWait, *, resolved: bool, frame: FrameType | None, told: bool = True
    ) -> None:
        record, op, started_ns, _, _, task, _ = wait
        if task.open_wait is wait:
            task.open_wait = None  # before the look at its record, see `wait_record`
        self.waiting.pop(task.serial, None)
        ended_ns = monotonic_ns()
        took_ns = ended_ns - started_ns
        made: WaitRecord | None = wait[-1]
        if made is not None:
            made.ended_ns = ended_ns
            made.how = "resolved" if resolved else "broken off"
        record.waiting -= 1
        record.wait_total_ns += took_ns
        if took_ns > record.wait_max_ns:  # noqa: PLR1730 # max() would be another call
            record.wait_max_ns = took_ns
        if not told or (op != "acquire" and resolved):
            return
        long = resolved and (self._add_up(wait, took_ns) or record.serial in self.watched)
        if not resolved or long:
            made = ended_wait((wait, ended_ns))
            made.how = "resolved" if resolved else "broken off"
            self._tell_end(made, frame)
        elif self.outbox is not None:
            self._hand_over(wait, ended_ns, frame, self.outbox)

    def _add_up(self, wait: OpenWait, took_ns: int) -> bool:
        """Add a wait that is over to the others of its task, and return whether that is long."""
        if took_ns < self.short_ns:
            return False
        waited, serial = wait[0].waited, wait[5].serial
        known_ns = waited.get(serial)
        if known_ns is None:
            if len(waited) >= _MOST_WAITED:
                waited.clear()
        else:
            took_ns += known_ns
        waited[serial] = took_ns
        return bool(took_ns >= self.contended_ns)

    def _hand_over(
        self,
        wait: OpenWait,
        ended_ns: int,
        frame: FrameType | None,
        outbox: deque[WaitRecord | EndedWait],
    ) -> None:
        """Hand a wait for a lock to the exporters, with its place if it may be shown."""
        if ended_ns - wait[2] < SHORT_WAIT_NS:
            outbox.append((wait, ended_ns))
            return
        made = ended_wait((wait, ended_ns))
        if made.flat_stack is None:
            made.flat_stack = capture_flat(frame, self.stack_depth, made.task)
        outbox.append(made)

    def _tell_end(self, wait: WaitRecord, frame: FrameType | None) -> None:
        """Tell exporters and detectors of the end of a wait that may matter to them."""
        record = wait.lock
        if wait.flat_stack is None:
            wait.flat_stack = capture_flat(frame, self.stack_depth, wait.task)
        if self.outbox is not None and wait.op == "acquire":
            self.outbox.append(wait)
        if wait.how != "resolved" or (
            wait.op == "acquire"
            and (
                record.serial in self.watched
                or record.waited.get(wait.task.serial, 0) >= self.contended_ns
            )
        ):
            self._moments.fire("lock_wait_ended", wait)


def _runs(owner: TaskRecord) -> bool:
    """Whether a task waits for nothing, so that no wait for it closes a circle; False in doubt."""
    task: Any = owner()
    if owner.open_wait is not None or getattr(task, "_fut_waiter", None) is not None:
        return False
    try:
        return not task.done()
    except Exception:  # gone, or whatever a task factory returns
        return False


def _one_runs(holds: list[Hold]) -> bool:
    """Whether nobody has the lock or one who has it waits for nothing."""
    for hold in holds:  # a generator would cost as much as all the rest
        if _runs(hold.owner):
            return True
    return not holds
