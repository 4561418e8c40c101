"""Cancel scopes, timeouts and task groups: who entered them, who left them, in which order."""

import weakref
from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any

from autoinstrument.places import capture
from autoinstrument.records import CancelOrigin, ScopeRecord, TaskRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_MOST_TASKS = 100
_SPIN = 500  # attempts to deliver one cancellation; a healthy task needs a handful


class ScopeTracker:
    """Owns the records of open scopes, by identity, and of those that were left."""

    def __init__(
        self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8, keep: int = 20_000
    ) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.open: dict[int, ScopeRecord] = {}
        self.outbox: deque[ScopeRecord] | None = None  # left scopes for the exporters
        self.cancelling: dict[int, ScopeRecord] = {}
        self.finished: deque[ScopeRecord] = deque(maxlen=keep)
        self.entered = 0
        self.left = 0
        self.cancelled = 0
        self.expired = 0
        self.dropped = 0
        self.stack_depth = stack_depth
        self._refused: dict[int, ScopeRecord] = {}  # left irregularly; they may cancel yet
        self._watches: dict[int, weakref.ref[Any]] = {}
        self._moments = moments
        self._tasks = tasks

    def scope_entered(
        self, scope: Any, kind: str, frame: FrameType | None, owner: TaskRecord | None = None
    ) -> ScopeRecord:
        """Record that the running task entered a scope at `frame`."""
        self.entered += 1
        if owner is None:
            owner = self._tasks.current()
        key = id(scope)
        record = ScopeRecord(
            self.entered, key, kind, owner, monotonic_ns(), capture(frame, self.stack_depth)
        )
        if owner is not None:
            if owner.scopes is None:
                owner.scopes = [record]
            else:
                if owner.scopes:
                    record.parent = owner.scopes[-1]
                owner.scopes.append(record)
        self.open[key] = record
        self._watch(scope, record)
        return record

    def _watch(self, scope: Any, record: ScopeRecord) -> None:
        def dropped(_: Any) -> None:
            self._watches.pop(record.key, None)
            if self.open.get(record.key) is record:
                del self.open[record.key]
                self.cancelling.pop(record.serial, None)
                _unlist(record)
                self._moments.fire("scope_dropped", record)

        try:
            self._watches[record.key] = weakref.ref(scope, dropped)
        except TypeError:
            return

    def scope_left(
        self, scope: Any, frame: FrameType | None, task: TaskRecord | None = None
    ) -> ScopeRecord | None:
        """Record that a scope is left, and return its record.

        May come without a matching enter (hooks installed late), from another task than the
        enter, and out of order; all are states, not errors. Called before the library checks.
        """
        key = id(scope)
        record = self.open.pop(key, None)
        if record is None:
            return None
        if task is None:
            task = self._tasks.current()
        record.left_ns = monotonic_ns()
        self.cancelling.pop(record.serial, None)
        record.left_by = task.serial if task is not None else 0
        self.left += 1
        owner = record.owner
        if owner is task and owner is not None and owner.scopes and owner.scopes[-1] is record:
            owner.scopes.pop()
            self._watches.pop(key, None)
        else:
            record.left_stack = capture(frame, 40)
            if len(self._refused) > 256:
                self._refused.clear()
            self._refused[key] = record
            self._moments.fire("scope_left", record, task, frame)
            _unlist(record)
        record.parent = None
        if len(self.finished) == self.finished.maxlen:
            self.dropped += 1
        self.finished.append(record)
        if self.outbox is not None:
            self.outbox.append(record)
        return record

    def cancel_requested(self, scope: Any, frame: FrameType | None, via: str) -> None:
        """Record who cancelled a scope; only the first request counts."""
        record = self.open.get(id(scope))
        if record is None or record.cancel_origin is not None:
            return
        by = self._tasks.current()
        record.cancel_origin = CancelOrigin(
            monotonic_ns(),
            by.serial if by is not None else 0,
            by.name if by is not None else "",
            capture(frame, self.stack_depth),
            (),
            via=via,
        )
        self.cancelled += 1
        self.cancelling[record.serial] = record

    def deadline_expired(self, scope: Any) -> ScopeRecord | None:
        """Record that the deadline of a scope passed."""
        record = self.open.get(id(scope))
        if record is not None and not record.expired_ns:
            record.expired_ns = monotonic_ns()
            self.expired += 1
        return record

    def delivered(self, scope: Any) -> None:
        """Count one attempt of a cancelled scope to deliver its cancellation."""
        record = self.open.get(id(scope)) or self._refused.get(id(scope))
        if record is None:
            return
        if not record.deliveries:
            record.spin_since_ns = monotonic_ns()
        record.deliveries += 1
        if record.deliveries == _SPIN:
            self._moments.fire("scope_spinning", record)

    def tasks_in(self, record: ScopeRecord) -> list[TaskRecord]:
        """Return the tasks that an anyio scope would cancel, those of its inner scopes included."""
        watch = self._watches.get(record.key)
        pending = [watch() if watch is not None else None]
        found: list[TaskRecord] = []
        for scope in pending:
            if scope is None or len(found) > _MOST_TASKS:
                continue
            for task in list(getattr(scope, "_tasks", ())):
                inside = self._tasks.record_of(task)
                if inside is not None:
                    found.append(inside)
            pending.extend(getattr(scope, "_child_scopes", ()))
        return found

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {
            "entered": self.entered,
            "left": self.left,
            "open": len(self.open),
            "cancelled": self.cancelled,
            "expired": self.expired,
        }


def _unlist(record: ScopeRecord) -> None:
    owner = record.owner
    if owner is not None and owner.scopes and record in owner.scopes:
        owner.scopes.remove(record)
