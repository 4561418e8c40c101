"""Cancel scopes, timeouts and task groups: who entered them, who left them, in which order."""

import contextlib
import weakref
from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture, capture_flat
from autoinstrument.records import UNTIMED, CancelOrigin, ScopeRecord, TaskRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker, running_task

_MOST_TASKS: Final = 100
_OWNERS: Final = ("_host_task", "_task", "_parent_task")  # of anyio's scope, Timeout, TaskGroup
_SPIN: Final = 500  # attempts to deliver one cancellation; a healthy task needs a handful


class ScopeTracker:
    """Knows the open scopes of each task, and those that were left irregularly.

    Open scopes stand in their task's record, outermost first, so that the usual exit looks at
    the last one only.
    """

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.outbox: deque[ScopeRecord] | None = None  # left scopes for the exporters
        self.cancelling: dict[int, ScopeRecord] = {}
        self.entered = 0
        self.left = 0
        self.cancelled = 0
        self.expired = 0
        self.stack_depth = stack_depth
        self._ownerless: dict[int, ScopeRecord] = {}  # entered outside any task
        self._refused: dict[int, ScopeRecord] = {}  # left irregularly; they may cancel yet
        self._moments = moments
        self._tasks = tasks
        self._live = tasks.live

    @property
    def open(self) -> list[ScopeRecord]:
        """The records of all scopes that were entered and not left, by live and ended tasks."""
        found = [*self._ownerless.values(), *self._tasks.left_open.values()]
        for task in list(self._tasks.live.values()):
            if task.scopes and not task.ended_ns:
                found += task.scopes
        return found

    def scope_entered(
        self, scope: Any, kind: str, frame: FrameType | None, owner: TaskRecord | None = None
    ) -> ScopeRecord:
        """Record that the running task entered a scope at `frame`."""
        if owner is None:
            try:  # as TaskTracker.current, without the call
                owner = self._live.get(id(running_task())) or self._tasks.current()
            except RuntimeError:  # no loop runs in this thread
                owner = None
        record = ScopeRecord()
        self.entered = record.serial = self.entered + 1
        record.key = id(scope)
        record.kind = kind
        record.owner = owner
        record.entered_ns = monotonic_ns()
        record.left_ns = 0
        record.shield = False
        record.story = None
        if owner is None:
            record.flat_stack = capture_flat(frame, self.stack_depth)
            self._ownerless[record.key] = record
            return record
        record.flat_stack = capture_flat(frame, self.stack_depth, owner)
        if owner.scopes is None:
            owner.scopes = [record]
        else:
            owner.scopes.append(record)
        return record

    def scope_left(
        self, scope: Any, frame: FrameType | None, task: TaskRecord | None = None
    ) -> ScopeRecord | None:
        """Record that a scope is left, and return its record.

        May come without a matching enter (hooks installed late), from another task than the
        enter, and out of order; all are states, not errors. Called before the library checks.
        """
        if task is None:
            try:
                task = self._live.get(id(running_task())) or self._tasks.current()
            except RuntimeError:
                task = None
        scopes = task.scopes if task is not None else None
        if scopes and scopes[-1].key == id(scope):
            record = scopes.pop()
        else:
            found = self._left_irregularly(scope, frame, task)
            if found is None:
                return None
            record = found
        self.left += 1
        if record.story is None and self.outbox is None:
            record.left_ns = UNTIMED
        else:
            record.left_ns = monotonic_ns()
            self.cancelling.pop(record.serial, None)
            if self.outbox is not None:
                self.outbox.append(record)
        return record

    def _left_irregularly(
        self, scope: Any, frame: FrameType | None, task: TaskRecord | None
    ) -> ScopeRecord | None:
        """Find the scope that another task entered, or this one in another order, and tell."""
        record = self.find(scope)
        if record is None:
            return None
        story = record.told()
        story.left_by = task.serial if task is not None else 0
        story.left_stack = capture(frame, 40)
        record.left_ns = monotonic_ns()
        if len(self._refused) > 256:
            self._refused.clear()
        self._refused[record.key] = record
        self._moments.fire("scope_left", record, task, frame)
        self._ownerless.pop(record.key, None)
        self._tasks.left_open.pop(record.serial, None)
        if record.owner is not None and record.owner.scopes and record in record.owner.scopes:
            record.owner.scopes.remove(record)
        return record

    def find(self, scope: Any) -> ScopeRecord | None:
        """Return the record of an open scope; the latest, where an address was used twice."""
        key = id(scope)
        near = [self._tasks.current()]
        near += [self._tasks.live.get(id(getattr(scope, name, None))) for name in _OWNERS]
        for task in near:
            for record in reversed(task.scopes or () if task is not None else ()):
                if record.key == key:
                    return record
        found = [record for record in self.open if record.key == key]
        return max(found, key=lambda record: record.serial, default=None)

    def cancel_requested(self, scope: Any, frame: FrameType | None, via: str) -> None:
        """Record who cancelled a scope; only the first request counts."""
        record = self.find(scope)
        if record is None or record.cancel_origin is not None:
            return
        by = self._tasks.current()
        story = self._cancelling(record, scope)
        story.cancel_origin = CancelOrigin(
            monotonic_ns(),
            by.serial if by is not None else 0,
            by.name if by is not None else "",
            capture(frame, self.stack_depth),
            (),
            via=via,
        )
        self.cancelled += 1
        self.cancelling[record.serial] = record

    def _cancelling(self, record: ScopeRecord, scope: Any) -> Any:
        story = record.told()
        if story.scope is None:
            with contextlib.suppress(TypeError):  # a scope that takes no weak references
                story.scope = weakref.ref(scope)
        return story

    def deadline_expired(self, scope: Any) -> ScopeRecord | None:
        """Record that the deadline of a scope passed."""
        record = self.find(scope)
        if record is not None and not record.expired_ns:
            self._cancelling(record, scope).expired_ns = monotonic_ns()
            self.expired += 1
        return record

    def delivered(self, scope: Any) -> None:
        """Count one attempt of a cancelled scope to deliver its cancellation."""
        record = self._refused.get(id(scope)) or self.find(scope)
        if record is None:
            return
        story = record.told()
        if not story.deliveries:
            story.spin_since_ns = monotonic_ns()
        story.deliveries += 1
        if story.deliveries == _SPIN:
            self._moments.fire("scope_spinning", record)

    def tasks_in(self, record: ScopeRecord) -> list[TaskRecord]:
        """Return the tasks that an anyio scope would cancel, those of its inner scopes included."""
        reference = record.story.scope if record.story is not None else None
        pending = [reference() if reference is not None else None]
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
            "open": self.entered - self.left,
            "cancelled": self.cancelled,
            "expired": self.expired,
        }
