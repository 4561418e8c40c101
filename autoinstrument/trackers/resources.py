"""Locks, semaphores, conditions, events and queues: who has them and who waits for them."""

from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any

from autoinstrument.places import capture
from autoinstrument.records import Hold, LockRecord, TaskRecord, WaitRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_HOLD_DEPTH = 4
_MOST_HOLDS = 1000


class ResourceTracker:
    """Owns the records of synchronisation objects, by identity."""

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.locks: dict[int, LockRecord] = {}
        self.waiting: dict[int, WaitRecord] = {}
        self.outbox: deque[WaitRecord] | None = None  # ended waits for the exporters
        self.acquired = 0
        self.released = 0
        self.waits = 0
        self.created = 0
        self.stack_depth = stack_depth
        self.consumers: dict[int, list[TaskRecord]] = {}
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
        record.holds = []
        record.waiters = {}
        record.waits = record.wait_total_ns = record.wait_max_ns = record.max_waiters = 0
        record.handovers = record.own_releases = record.foreign_releases = 0
        self.locks[key] = record
        return record

    def _gone(self, record: LockRecord) -> None:
        if self.locks.get(record.key) is record:
            del self.locks[record.key]
            self.consumers.pop(record.key, None)

    def acquired_by(
        self, lock: Any, frame: FrameType | None, kind: str = "", permits: int = 1
    ) -> None:
        """Record that the running task got a lock or a permit."""
        task = self._tasks.current()
        if task is None:
            return
        record = self.lock_of(lock, kind, permits)
        hold = Hold(record, task, monotonic_ns(), capture(frame, _HOLD_DEPTH))
        self.acquired += 1
        if len(record.holds) < _MOST_HOLDS:
            record.holds.append(hold)

    def released_by(self, lock: Any, frame: FrameType | None) -> None:
        """Record that a lock or a permit is given back by the running task, rightly or not."""
        record = self.locks.get(id(lock))
        if record is None or record() is not lock:
            return
        self.released += 1
        task = self._tasks.current()
        hold = _hold_of(record, task)
        own = hold is not None and hold.owner is task
        if own:
            record.own_releases += 1
        else:
            record.foreign_releases += 1
            self._moments.fire(
                "lock_released", record, hold, task, capture(frame, self.stack_depth)
            )
        if hold is not None:
            record.holds.remove(hold)
        if record.waiters:
            record.handovers += 1
            for wait in list(record.waiters.values()):
                wait.after += 1

    def wait_started(
        self, lock: Any, op: str, frame: FrameType | None, kind: str = "", permits: int = 1
    ) -> None:
        """Record that the running task begins to wait for a lock, queue, event or condition."""
        task = self._tasks.current()
        if task is None:
            return
        record = self.lock_of(lock, kind, permits)
        wait = WaitRecord(task, record, op, monotonic_ns(), capture(frame, self.stack_depth))
        task.wait = wait
        record.waiters[task.serial] = wait
        record.waits += 1
        record.max_waiters = max(record.max_waiters, len(record.waiters))
        self.waits += 1
        self.waiting[task.serial] = wait
        self._moments.fire("lock_waited", wait)

    def wait_ended(self, lock: Any, *, resolved: bool = True) -> None:
        """Record that the running task waits no more."""
        task = self._tasks.current()
        record = self.locks.get(id(lock))
        if task is None or record is None:
            return
        wait = record.waiters.pop(task.serial, None)
        if wait is None:
            return
        self.waiting.pop(task.serial, None)
        task.wait = None
        wait.ended_ns = monotonic_ns()
        wait.how = "resolved" if resolved else "broken off"
        took = wait.ended_ns - wait.started_ns
        record.wait_total_ns += took
        record.wait_max_ns = max(record.wait_max_ns, took)
        if self.outbox is not None:
            self.outbox.append(wait)
        self._moments.fire("lock_wait_ended", wait)

    def consumed(self, queue: Any) -> None:
        """Remember that the running task took an item out of a queue."""
        task = self._tasks.current()
        if task is None:
            return
        self.lock_of(queue, "", 0)
        takers = self.consumers.setdefault(id(queue), [])
        if task not in takers:
            takers.append(task)
            del takers[:-16]

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {
            "acquired": self.acquired,
            "released": self.released,
            "waits": self.waits,
            "waiting": len(self.waiting),
            "seen": self.created,
        }


def _hold_of(record: LockRecord, task: TaskRecord | None) -> Hold | None:
    """Return the hold that a release by `task` ends: its own, else the oldest."""
    for hold in record.holds:
        if hold.owner is task:
            return hold
    return record.holds[0] if record.holds else None
