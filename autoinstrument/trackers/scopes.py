"""Cancel scopes, timeouts and task groups: who entered them, who left them, in which order."""

import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture, capture_flat
from autoinstrument.records import UNTIMED, CancelOrigin, ScopeRecord, TaskRecord, scope_record
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_MOST_TASKS: Final = 100
_OWNERS: Final = ("_host_task", "_task", "_parent_task")  # of anyio's scope, Timeout, TaskGroup
_UNNAMED: Final = object()
_SPIN: Final = 500  # attempts to deliver one cancellation; a healthy task needs a handful


class ScopeTracker:
    """Knows the open scopes of each task, and those that were left irregularly.

    Open scopes stand in their task's record, outermost first, so that the usual exit looks at
    the last one only. Woven code records that exit (`hooks/scope_edits.py`), and calls `enter`.
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
        self.last: Callable[[], Any] = _nobody  # record of the task that entered a scope last
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
            if task.open_scopes and not task.ended_ns:
                found += task.scopes
        return found

    def enter(
        self, scope: Any, kind: str, frame: FrameType, task: Any, shield: bool = False
    ) -> None:
        """Record that the running task, `task`, entered a scope at `frame`.

        Called by woven code for almost every scope. Most stacks are one or two frames long; where
        the task's own function is met, its code is known and the frame is not asked for it.

        Raises:
            KeyError: the task is not known yet.
        """
        owner: Any = self.last
        if owner() is not task:
            owner = self.last = self._live[id(task)]
        try:
            root = task.get_coro().cr_frame
        except AttributeError:  # a task factory may return anything
            root = None
        if root is None:
            stack = capture_flat(frame, self.stack_depth)
        elif frame is root:
            stack = (owner.code, frame.f_lasti)
        else:
            outer: Any = frame.f_back
            if outer is root and self.stack_depth > 1:
                stack = (frame.f_code, frame.f_lasti, owner.code, outer.f_lasti)
            else:
                stack = capture_flat(frame, self.stack_depth, last=root)
        self.entered = serial = self.entered + 1
        at_ns = UNTIMED if self.outbox is None else monotonic_ns()
        entry = [id(scope), kind, serial, at_ns, stack, shield, None]
        if owner.open_scopes is None:
            owner.open_scopes = [entry]
        else:
            owner.open_scopes.append(entry)

    def scope_entered(
        self,
        scope: Any,
        kind: str,
        frame: FrameType | None,
        owner: TaskRecord | None = None,
        shield: bool = False,
    ) -> ScopeRecord:
        """Record that `owner`, or else the running task, entered a scope at `frame`."""
        if owner is None:
            owner = self._tasks.current()
        stack = capture_flat(frame, self.stack_depth, owner)
        self.entered += 1
        if owner is None:
            record = ScopeRecord(None, id(scope), kind, self.entered, monotonic_ns(), stack, shield)
            self._ownerless[record.key] = record
            return record
        entry = [id(scope), kind, self.entered, monotonic_ns(), stack, shield, None]
        owner.open_scopes = [*(owner.open_scopes or ()), entry]
        return scope_record(entry, owner)

    def scope_left(
        self, scope: Any, frame: FrameType | None, task: TaskRecord | None = None
    ) -> ScopeRecord | None:
        """Record that a scope is left, and return its record.

        May come without a matching enter (hooks installed late), from another task than the
        enter, and out of order; all are states, not errors. Called before the library checks.
        """
        if task is None:
            task = self._tasks.current()
        entries = task.open_scopes if task is not None else None
        if task is not None and entries and entries[-1][0] == id(scope):
            record = scope_record(entries[-1], task)
            entries.pop()
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
            if self.outbox is not None and record.entered_ns != UNTIMED:  # else it came first
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
        entries = (record.owner.open_scopes if record.owner is not None else None) or []
        for at, entry in enumerate(entries):
            if entry[-1] is record:
                del entries[at]
                break
        return record

    def find(self, scope: Any, entered_by: Any = None) -> ScopeRecord | None:
        """Return the record of an open scope; the latest, where an address was used twice.

        `entered_by` is the task that entered it, where the caller knows that.
        """
        key = id(scope)
        if entered_by is not None:
            owner = self._live.get(id(entered_by))
            if owner is not None:
                return _latest(owner, key)
        task = self._tasks.current()
        if task is not None and task.open_scopes and task.open_scopes[-1][0] == key:
            return scope_record(task.open_scopes[-1], task)
        for name in _OWNERS:
            entered_by = getattr(scope, name, _UNNAMED)
            if entered_by is not _UNNAMED:
                if entered_by is None:
                    return None  # not entered, or left
                owner = self._live.get(id(entered_by))
                if owner is not None:
                    return _latest(owner, key)
                break
        return self._find_anywhere(key)

    def _find_anywhere(self, key: int) -> ScopeRecord | None:
        """Find a scope of a library that does not say which task entered it."""
        found = [record for record in self._tasks.left_open.values() if record.key == key]
        if key in self._ownerless:
            found.append(self._ownerless[key])
        for task in list(self._live.values()):
            latest = _latest(task, key) if task.open_scopes and not task.ended_ns else None
            if latest is not None:
                found.append(latest)
        return max(found, key=lambda record: record.serial, default=None)

    def cancel_requested(
        self, scope: Any, frame: FrameType | None, via: str, entered_by: Any = None
    ) -> None:
        """Record who cancelled a scope; only the first request counts.

        `via` is "deadline", which has passed then, or "scope"; `entered_by` as in `find`.
        """
        record = self.find(scope, entered_by)
        if record is None:
            return
        story = self._cancelling(record, scope)
        now_ns = monotonic_ns()
        if via == "deadline" and not story.expired_ns:
            story.expired_ns = now_ns
            self.expired += 1
        if story.cancel_origin is not None:
            return
        by = self._tasks.current()
        story.cancel_origin = CancelOrigin(
            now_ns,
            by.serial if by is not None else 0,
            by.name if by is not None else "",
            capture_flat(frame, self.stack_depth, by),
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

    def deadline_expired(self, scope: Any, entered_by: Any = None) -> ScopeRecord | None:
        """Record that the deadline of a scope passed; `entered_by` as in `find`."""
        record = self.find(scope, entered_by)
        if record is not None and not record.expired_ns:
            self._cancelling(record, scope).expired_ns = monotonic_ns()
            self.expired += 1
        return record

    def delivered(self, scope: Any, entered_by: Any = None) -> None:
        """Count one attempt of a cancelled scope to deliver its cancellation."""
        record = self._refused.get(id(scope)) if self._refused else None
        if record is None:
            record = self.find(scope, entered_by)
            if record is None:
                return
        story = record.story or record.told()
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


def _latest(task: TaskRecord, key: int) -> ScopeRecord | None:
    """Return the record of the innermost open scope of a task with this identity."""
    entries = task.open_scopes
    if not entries:
        return None
    if entries[-1][0] != key:  # almost always it is the last one
        entries = [entry for entry in entries if entry[0] == key]
        if not entries:
            return None
    record: ScopeRecord | None = entries[-1][-1]
    return record if record is not None else scope_record(entries[-1], task)


def _nobody() -> Any:
    return _nobody  # which is no task
