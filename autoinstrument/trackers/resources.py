"""Locks, semaphores, limiters and queues: who has them; see `waits.py` for who waits.

Theory of operation. The first acquisitions of a lock (`LockRecord.NEWS`) are recorded in full:
task, place, time. A lock that nobody had to wait for by then becomes *calm*: it stands in
`calm`, and if the task that took it last takes it again, the code woven into its class counts that,
which costs a quarter of a microsecond less, and asks for nothing at its release. Another task is
recorded in full, so that time and place are kept of what a task takes once, and of the last hold
only if they are its own (`LockRecord.placed`). As soon as somebody waits for a calm lock, all
acquisitions are recorded in full again. So no deadlock, re-entry or forgotten lock escapes, and
what is never contended costs next to nothing. What a calm lock may hide is a release by another
task while nobody waits.

Of a lock that one task has at a time (`taken`, `got`, `given_back`) the record itself says who,
since when and where, and a `Hold` is made of that for whoever asks. anyio's lock knows its owner:
it is never calm, since only its acquisition has to be recorded (`owned`), and its release if
somebody waits. Semaphores, limiters and what is told by hand (`acquired_by`, `released_by`) have
a list of holds.

A hold is contended if somebody waits when it ends. Exporters are given those, unless they began
while the lock was calm: then nobody knows since when.
"""

import sys
from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture, capture_flat
from autoinstrument.records import ContendedHold, FlatStack, Hold, LockRecord, TaskRecord
from autoinstrument.trackers.outbox import SHORT_WAIT_NS
from autoinstrument.trackers.waits import WaitTracker, nothing

_HOLD_DEPTH: Final = 4
GOT_DEPTH: Final = 3  # frames of a place that woven code compares with the next one
_MOST_HOLDS: Final = 1000
_new_hold: Final[Any] = Hold.__new__
_CAN_BE_CALM: Final = frozenset({"asyncio.Semaphore"})  # besides locks that have one owner


class ResourceTracker(WaitTracker):
    """Owns what is known of synchronisation objects: who waits, and who has them."""

    def taken(self, lock: Any, kind: str) -> None:
        """Record that the running task has a lock that one task has at a time; it did not wait."""
        key = id(lock)
        task = self._tasks.current()
        record = self.locks.get(key)
        if record is None:
            if task is None:
                return
            record = self.lock_of(lock, kind)
        if task is None:
            if self.calm.pop(key, None) is not None:
                self.last.lock = nothing
            record.owner = None
            record.acquired += 1
            self.lively[key] = record
            return
        if key not in self.calm:
            self.lively[key] = record
            if record.news > 0:
                record.news -= 1
        record.owner = task
        record.taken_ns = monotonic_ns()
        record.place = place = capture_flat(sys._getframe(1), _HOLD_DEPTH, task)
        record.acquired = record.placed = record.acquired + 1
        if not task.last_name:
            task.remember_name()
        if len(record.places) < LockRecord.PLACES and place not in record.places:
            record.places.append(place)

    def owned(self, lock: Any, task: Any, kind: str) -> None:
        """Record that the running task, `task`, owns a lock that knows its owner itself.

        Called by `acquire()` itself: its callers are the frames above.
        """
        record = self.locks.get(id(lock))
        if record is None:
            record = self.lock_of(lock, kind)
            self.lively[record.key] = record
        owner = record.owner
        if owner is None or owner() is not task:
            owner = record.owner = self._tasks.record_of(task)
            if owner is None:
                return
        record.taken_ns = monotonic_ns()
        record.place = capture_flat(sys._getframe(2), _HOLD_DEPTH, owner)
        record.acquired = record.placed = record.acquired + 1
        if not owner.last_name:
            owner.remember_name()

    def got(self, lock: Any, kind: str) -> None:
        """Record that a wait is over and the running task has the lock; one task has it at a time.

        Called by `acquire()` itself: its callers are the frames above.
        """
        wait = self._own_wait(lock)
        if wait is None:
            self.taken(lock, kind)
            return
        record, task = wait[0], wait[5]
        record.owner = task
        record.taken_ns = monotonic_ns()
        record.place = capture_flat(sys._getframe(1), GOT_DEPTH, task)
        record.acquired = record.placed = record.acquired + 1
        self._end(wait, resolved=True, frame=sys._getframe(1))

    def given_back(self, lock: Any) -> None:
        """Record that the running task gives back a lock that one task has, rightly or not."""
        record = self.lively.get(id(lock))
        if record is None:
            return
        task, owner = self._tasks.current(), record.owner
        if (owner is None or owner is not task) and not self._was_cancelled_with(record, task):
            self.given_back_by_other(lock, sys._getframe(1))
        if record.waiting:
            record.handovers += 1
            if self.held is not None and owner is not None and record.placed == record.acquired:
                now_ns = monotonic_ns()
                if now_ns - record.taken_ns >= SHORT_WAIT_NS:
                    hold = record.hold or Hold(record, owner, record.taken_ns, record.place)
                    self.contended += 1
                    self.held.append(ContendedHold(hold, now_ns, record.waiting))
        elif owner is task and owner is not None and not record.news:
            del self.lively[record.key]
            self.last.lively = nothing
            record.hold = None
            self.calm[record.key] = record
            return
        record.owner = record.hold = None

    def given_back_by_other(self, lock: Any, frame: FrameType | None) -> None:
        """Record that the running task releases a lock that it has not, or tries to."""
        record = self.locks.get(id(lock))
        if record is None:
            return
        hold = next(iter(record.holds), None)
        record.foreign_releases += 1
        stack = capture(frame, self.stack_depth)
        self._moments.fire("lock_released", record, hold, self._tasks.current(), stack)

    def _was_cancelled_with(self, record: LockRecord, task: TaskRecord | None) -> bool:
        """End the wait of a task that was cancelled when the lock was its own already.

        anyio's `acquire()` then gives the lock back before it raises.
        """
        wait = task.open_wait if task is not None else None
        if wait is None or wait[0] is not record or wait[1] != "acquire":
            return False
        self._end(wait, resolved=True, frame=sys._getframe(2))
        return True

    def acquired_by(
        self, lock: Any, frame: FrameType | None, kind: str = "", permits: int = 1
    ) -> None:
        """Record that the running task got a lock or a permit."""
        key = id(lock)
        task = self._tasks.current()
        if task is None:
            if key in self.calm:
                self._wake(self.calm.pop(key))
            return
        record = self.locks.get(key) or self.lock_of(lock, kind, permits)
        place = capture_flat(frame, _HOLD_DEPTH, task)
        record.acquired += 1
        if key in self.calm:
            if record.again:
                record.known_holds = record.holds
                record.again = 0
            record.taker, record.place = task, place
        else:
            self.lively[key] = record
            if record.news > 0:
                record.news -= 1
        if not task.last_name:
            task.remember_name()
        if len(record.known_holds) < _MOST_HOLDS:
            hold: Hold = _new_hold(Hold)  # here: `_hold` would be a call more
            hold.lock, hold.owner, hold.at_ns = record, task, monotonic_ns()
            hold.flat_stack = place
            record.known_holds.append(hold)
        if len(record.places) < LockRecord.PLACES and place not in record.places:
            record.places.append(place)

    def released_by(self, lock: Any, frame: FrameType | None) -> None:
        """Record that a lock or a permit is given back by the running task, rightly or not."""
        key = id(lock)
        task = self._tasks.current()
        record = self.lively.get(key) or self.calm.get(key)
        if record is None:
            return
        holds = record.known_holds
        hold = holds[0] if holds and holds[0].owner is task else _hold_of(holds, task)
        if key in self.calm:
            if record.again and record.taker is task:
                record.again -= 1
                return
            if hold is None or hold.owner is not task:
                self._wake(self.calm.pop(key))
                hold = _hold_of(record.known_holds, task)
        holds = record.known_holds
        if hold is not None and hold.owner is task:
            record.own_releases += 1
        elif self._was_cancelled_with(record, task):
            hold = None
        else:
            record.foreign_releases += 1
            stack = capture(frame, self.stack_depth)
            self._moments.fire("lock_released", record, hold, task, stack)
        if hold is not None:
            holds.remove(hold)
        if record.waiting:
            record.handovers += 1
            if self.held is not None and hold is not None and hold.at_ns:
                self._was_contended(hold, self.held)
        elif (
            hold is not None
            and hold.owner is task
            and not record.news
            and not holds
            and record.kind in _CAN_BE_CALM
            and self.lively.pop(key, None) is not None
        ):
            record.taker, record.place = task, hold.flat_stack
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
            if not task.last_name:
                task.remember_name()
            place = capture_flat(frame, _HOLD_DEPTH, running)
            record.known_holds.append(_hold(record, task, place))

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
                    self._was_contended(hold, self.held)
                break
        if record.waiting:
            record.handovers += 1

    def _was_contended(self, hold: Hold, held: deque[ContendedHold]) -> None:
        """Hand a hold that ends while others wait to the exporters, unless it was short."""
        now_ns = monotonic_ns()
        if now_ns - hold.at_ns >= SHORT_WAIT_NS:
            self.contended += 1
            held.append(ContendedHold(hold, now_ns, hold.lock.waiting))

    def contended_holds(self) -> list[ContendedHold]:
        """Return the holds that others wait for now, as far as it is known when they began."""
        return [
            ContendedHold(hold, 0, record.waiting)
            for record in list(self.lively.values())
            if record.waiting
            for hold in list(record.holds)
            if hold.at_ns
        ]

    def consumed(self, queue: Any) -> None:
        """Remember that the running task took an item out of a queue."""
        task = self._tasks.current()
        if task is None:
            return
        takers = self.consumers.get(id(queue))
        self.lock_of(queue, "asyncio.Queue", 0).taker = task
        if takers is None:
            takers = self.consumers[id(queue)] = []
        elif takers[-1] is task:
            return
        if task in takers:
            takers.remove(task)
        takers.append(task)
        del takers[:-16]

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        acquired, held = self._acquired_by_gone, 0
        for record in list(self.locks.values()):
            if record.acquired:  # not an event, a condition or a queue, of which there may be many
                acquired += record.acquired
                held += record.held
        return {
            "acquired": acquired,
            "released": acquired - held,
            "waits": self.waits,
            "waiting": len(self.waiting),
            "seen": self.created,
        }


def _hold(record: LockRecord, owner: TaskRecord, place: FlatStack, new: Any = Hold.__new__) -> Hold:
    """Return a hold that begins now; `__init__` would be another call."""
    hold: Hold = new(Hold)
    hold.lock = record
    hold.owner = owner
    hold.at_ns = monotonic_ns()
    hold.flat_stack = place
    return hold


def _hold_of(holds: list[Hold], task: TaskRecord | None) -> Hold | None:
    """Return the hold that a release by `task` ends: its own, else the oldest."""
    for hold in holds:
        if hold.owner is task:
            return hold
    return holds[0] if holds else None
