"""Locks, semaphores, conditions, events and queues: who has them and who waits for them.

Theory of operation. The first acquisitions of a lock (`LockRecord.NEWS`) are recorded in full:
task, place, time. A lock that nobody had to wait for by then becomes *calm*: it stands in
`calm`, and the code woven into its class writes the task that takes it into the record, which
costs a quarter of a microsecond less, and asks for nothing at its release. As soon as somebody
waits for a calm lock, what is known of its holder becomes a `Hold`, and the next acquisitions
are recorded in full again. So no deadlock, re-entry or forgotten lock escapes, and what is
never contended costs next to nothing. What a calm lock may hide is a release by another task
while nobody waits.

A hold is contended if somebody waits when it ends. Exporters are given those, unless they began
while the lock was calm: then nobody knows since when.

Some things are built of others: a barrier waits through its condition, a limiter and anyio's
condition through an event. Their wait *covers* what the task waits for inside: the inner waits
begin and end within it and are not recorded, so that the task is seen at what it was written to
wait for.
"""

from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture, capture_flat
from autoinstrument.records import ContendedHold, Hold, LockRecord, TaskRecord, WaitRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_HOLD_DEPTH: Final = 4
_MOST_HOLDS: Final = 1000
_CAN_BE_CALM: Final = frozenset({"asyncio.Lock", "asyncio.Semaphore"})
_COVERING: Final = frozenset({"asyncio.Barrier", "anyio.CapacityLimiter", "anyio.Condition"})


class ResourceTracker:
    """Owns the records of synchronisation objects, by identity."""

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.locks: dict[int, LockRecord] = {}
        self.calm: dict[int, LockRecord] = {}  # those of `locks` that are calm
        self.lively: dict[int, LockRecord] = {}  # those that have been taken and are not
        self.waiting: dict[int, WaitRecord] = {}
        self.outbox: deque[WaitRecord] | None = None  # ended waits for the exporters
        self.held: deque[ContendedHold] | None = None  # ended contended holds, for them too
        self.contended = 0  # how many went there
        self.waits = 0
        self.created = 0
        self.stack_depth = stack_depth
        self.consumers: dict[int, list[TaskRecord]] = {}
        self._acquired_by_gone = 0
        self._forget_at = 1_000
        self._moments = moments
        self._tasks = tasks

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
        record.owner = None
        record.takers = []
        record.places = []
        record.known_holds = []
        record.acquired = record.waits = record.waiting = record.max_waiters = 0
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

    def acquired_by(
        self, lock: Any, frame: FrameType | None, kind: str = "", permits: int = 1
    ) -> None:
        """Record that the running task got a lock or a permit."""
        key = id(lock)
        task = self._tasks.current()
        if key in self.calm:  # the woven code did not know the task
            self.calm[key].owner = None
            self._wake(self.calm.pop(key))
        if task is None:
            return
        record = self.locks.get(key) or self.lock_of(lock, kind, permits)
        place = capture_flat(frame, _HOLD_DEPTH, task)
        record.acquired += 1
        self.lively[key] = record
        task.remember_name()
        if len(record.known_holds) < _MOST_HOLDS:
            record.known_holds.append(Hold(record, task, monotonic_ns(), place))
        if record.news > 0:
            record.news -= 1
            if len(record.places) < 2 and place not in record.places:
                record.places.append(place)

    def released_by(self, lock: Any, frame: FrameType | None) -> None:
        """Record that a lock or a permit is given back by the running task, rightly or not."""
        key = id(lock)
        task = self._tasks.current()
        record = self.lively.get(key)
        if record is None:
            record = self.calm.get(key)
            if record is None:
                return
            if task in record.takers:
                record.takers.remove(task)
                return
            self._wake(self.calm.pop(key))
        holds = record.known_holds
        hold = _hold_of(holds, task)
        if hold is not None and hold.owner is task:
            record.own_releases += 1
        else:
            record.foreign_releases += 1
            stack = capture(frame, self.stack_depth)
            self._moments.fire("lock_released", record, hold, task, stack)
        if hold is not None:
            holds.remove(hold)
        if record.waiting:
            record.handovers += 1
            if self.held is not None and hold is not None and hold.at_ns:
                self.contended += 1
                self.held.append(ContendedHold(hold, monotonic_ns(), record.waiting))
        elif hold is not None and not record.news and not holds and record.kind in _CAN_BE_CALM:
            del self.lively[key]
            record.owner = hold.owner if record.kind == "asyncio.Lock" else None
            self.calm[key] = record

    def borrowed(
        self, limiter: Any, borrower: Any, frame: FrameType | None, kind: str, tokens: int
    ) -> None:
        """Record that a token was lent; it has a holder only if the borrower is a task.

        `tokens` is how many there are now, 0 for any number.
        """
        running = self._tasks.current()
        if running is None:
            return
        record = self.locks.get(id(limiter)) or self.lock_of(limiter, kind, tokens)
        record.permits = tokens
        record.acquired += 1
        self.lively[record.key] = record
        task = running if running() is borrower else self._tasks.live.get(id(borrower))
        if task is not None and task() is borrower and len(record.known_holds) < _MOST_HOLDS:
            task.remember_name()
            place = capture_flat(frame, _HOLD_DEPTH, running)
            record.known_holds.append(Hold(record, task, monotonic_ns(), place))

    def returned(self, limiter: Any, borrower: Any) -> None:
        """Record that the token of a borrower is back, whoever brought it."""
        record = self.locks.get(id(limiter))
        if record is None:
            return
        for hold in record.known_holds:
            if hold.owner() is borrower:
                record.known_holds.remove(hold)
                record.own_releases += 1
                if record.waiting and self.held is not None:
                    self.contended += 1
                    self.held.append(ContendedHold(hold, monotonic_ns(), record.waiting))
                break
        if record.waiting:
            record.handovers += 1

    def _wake(self, record: LockRecord) -> None:
        """End the calm of a lock: what is known of its holders becomes holds."""
        record.known_holds = record.holds
        record.owner = None
        record.takers = []
        record.news = LockRecord.NEWS
        self.lively[record.key] = record

    def _forget_the_dead(self) -> None:
        """Drop waits whose task was destroyed in the middle of them."""
        for serial, wait in list(self.waiting.items()):
            if wait.task.ended:
                self.waiting.pop(serial, None)
                wait.lock.waiting -= 1
        self._forget_at = 2 * len(self.waiting) + 1_000

    def wait_started(
        self, lock: Any, op: str, frame: FrameType | None, kind: str = "", permits: int = 1
    ) -> None:
        """Record that the running task begins to wait for a lock, queue, event or condition."""
        task = self._tasks.current()
        if task is None or (task.wait is not None and task.wait.lock.kind in _COVERING):
            return
        record = self.locks.get(id(lock)) or self.lock_of(lock, kind, permits)
        wait = WaitRecord()
        self.waits = wait.serial = self.waits + 1
        wait.task = task
        wait.lock = record
        wait.op = op
        wait.started_ns = monotonic_ns()
        wait.flat_stack = capture_flat(frame, self.stack_depth, task)
        wait.ended_ns = 0
        wait.how = ""
        wait.passed = record.handovers
        task.wait = wait
        task.remember_name()
        record.waits += 1
        record.waiting = waiting = record.waiting + 1
        record.max_waiters = max(record.max_waiters, waiting)
        self.waiting[task.serial] = wait
        if len(self.waiting) > self._forget_at:
            self._forget_the_dead()
        if op == "acquire":
            record.news = LockRecord.NEWS
            if self.calm.pop(record.key, None) is not None:
                self._wake(record)
            self._moments.fire("lock_waited", wait)

    def wait_ended(self, lock: Any, *, resolved: bool = True) -> None:
        """Record that the running task waits no more."""
        task = self._tasks.current()
        wait = task.wait if task is not None else None
        if task is None or wait is None or wait.lock.key != id(lock):
            return
        record = wait.lock
        task.wait = None
        self.waiting.pop(task.serial, None)
        wait.ended_ns = monotonic_ns()
        wait.how = "resolved" if resolved else "broken off"
        took = wait.ended_ns - wait.started_ns
        record.waiting -= 1
        record.wait_total_ns += took
        record.wait_max_ns = max(record.wait_max_ns, took)
        if self.outbox is not None:
            self.outbox.append(wait)
        if not resolved or wait.op == "acquire":
            self._moments.fire("lock_wait_ended", wait)

    def waiters_of(self, record: LockRecord) -> list[WaitRecord]:
        """Return the waits for one lock, oldest first."""
        return [wait for wait in list(self.waiting.values()) if wait.lock is record]

    def contended_holds(self) -> list[ContendedHold]:
        """Return the holds that others wait for now, as far as it is known when they began."""
        return [
            ContendedHold(hold, 0, record.waiting)
            for record in list(self.lively.values())
            if record.waiting
            for hold in list(record.known_holds)
            if hold.at_ns
        ]

    def consumed(self, queue: Any) -> None:
        """Remember that the running task took an item out of a queue."""
        task = self._tasks.current()
        if task is None:
            return
        takers = self.consumers.get(id(queue))
        if takers is None:
            self.lock_of(queue, "", 0)
            takers = self.consumers[id(queue)] = []
        elif takers[-1] is task:
            return
        if task in takers:
            takers.remove(task)
        takers.append(task)
        del takers[:-16]

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        locks = list(self.locks.values())
        acquired = self._acquired_by_gone + sum(record.acquired for record in locks)
        return {
            "acquired": acquired,
            "released": acquired - sum(len(record.holds) for record in locks),
            "waits": self.waits,
            "waiting": len(self.waiting),
            "seen": self.created,
        }


def _hold_of(holds: list[Hold], task: TaskRecord | None) -> Hold | None:
    """Return the hold that a release by `task` ends: its own, else the oldest."""
    for hold in holds:
        if hold.owner is task:
            return hold
    return holds[0] if holds else None
