"""Cancel scopes, timeouts and task groups: who entered them, who left them, in which order."""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from types import FrameType
from typing import Any, Final

from autoinstrument.places import capture, capture_flat
from autoinstrument.records import (
    CancelOrigin,
    FlatStack,
    LeftScope,
    ScopeRecord,
    TaskRecord,
    scope_record,
)
from autoinstrument.stacks import parked_below
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.running import running_task
from autoinstrument.trackers.tasks import TaskTracker, nobody

_MOST_TASKS: Final = 100
_OWNERS: Final = ("_host_task", "_task", "_parent_task")  # of anyio's scope, Timeout, TaskGroup
_UNNAMED: Final = object()
SAMPLED: Final = 64  # of so many attempts of all scopes, one is looked at
_SPIN: Final = 500  # attempts to deliver one cancellation; a healthy task needs a handful


class ScopeTracker:
    """Knows the open scopes of each task, and those that were left irregularly.

    Open scopes stand in their task's record, outermost first, so that the usual exit looks at
    the last one only. Woven code records that exit, and almost every entry
    (`hooks/scope_edits.py`).
    """

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.outbox: deque[ScopeRecord | LeftScope] | None = None  # for the exporters
        self.cancelling: dict[int, ScopeRecord] = {}
        self.entered = 0
        self.left = 0
        self.cancelled = 0
        self.expired = 0
        self.stack_depth = stack_depth
        self.last: Callable[[], Any] = nobody  # record of the task that entered a scope last
        self._ownerless: dict[int, ScopeRecord] = {}  # entered outside any task
        self.unseen = SAMPLED  # attempts to deliver until `delivering` has to be called
        self.expiring: Any = None  # a scope whose deadline has passed, until `cancel` is called
        self.delivers_at: FlatStack = ()  # where the loop lets a scope cancel a task
        self.watched: ScopeRecord | None = None  # the one whose attempts are counted now
        self._counted = SAMPLED  # attempts that it stood for at first
        self._until_sample = SAMPLED  # attempts, as of then
        self._deliveries_then = 0  # what it had made at the last 64th attempt
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
        self.was_left(record)
        return record

    def was_left(self, record: ScopeRecord) -> None:
        """Record when a scope was left, in whatever way."""
        record.left_ns = monotonic_ns()
        if record.hits is not None:  # nobody needs to hear of it any more
            record.hits = None
            self._tasks.hitting.pop(record.serial, None)
        if record.cancel_origin is not None:
            self.cancelling.pop(record.serial, None)
        if record is self.watched:
            self.watched = None
        if self.outbox is not None:
            self.outbox.append(record)

    def _left_irregularly(
        self, scope: Any, frame: FrameType | None, task: TaskRecord | None
    ) -> ScopeRecord | None:
        """Find the scope that another task entered, or this one in another order, and tell."""
        record = self.find(scope)
        if record is None:
            return None
        record.irregularly_by = task.serial if task is not None else 0
        record.left_stack = capture(frame, 40)
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
                entries = owner.open_scopes
                if entries and entries[-1][0] == key:  # almost always
                    return entries[-1][-1] or scope_record(entries[-1], owner)
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
        self,
        scope: Any,
        frame: FrameType | None,
        via: str,
        entered_by: Any = None,
        entering: bool = False,
    ) -> None:
        """Record who cancelled a scope; only the first request counts.

        `via` is "deadline", which has passed then, or "scope"; `entered_by` as in `find`. A scope
        that is just being entered is cancelled in that line.
        """
        record = self.find(scope, entered_by)
        if record is None:
            return
        now_ns = monotonic_ns()
        if via == "deadline" and not record.expired_ns:
            record.expired_ns = now_ns
            self.expired += 1
        if record.cancel_origin is not None:
            return
        by = record.owner
        if not entering:
            try:
                by = self._live.get(id(running_task()))
            except RuntimeError:  # no loop runs in this thread
                by = None
        if by is None:
            stack, serial, name = capture_flat(frame, self.stack_depth), 0, ""
        elif entering:
            stack, serial, name = record.flat_stack, by.serial, by.last_name or by.name
        else:
            stack, serial, name = capture_flat(frame, self.stack_depth, by), by.serial, by.name
        record.cancel_origin = CancelOrigin(now_ns, serial, name, stack, (), via)
        try:
            record.scope = weakref.ref(scope)
        except TypeError:  # a scope that takes no weak references
            record.scope = None
        self.cancelled += 1
        self.cancelling[record.serial] = record

    def expires_at_entry(self, scope: Any, entered_by: Any) -> None:
        """Record that a scope is cancelled in the line that enters it: its deadline has passed.

        As `cancel_requested` does, in one piece for the task that entered a scope last.
        """
        owner: Any = self.last
        entries = owner.open_scopes if owner() is entered_by else None
        if not entries or entries[-1][0] != id(scope) or entries[-1][-1] is not None:
            self.cancel_requested(scope, None, "deadline", entered_by, entering=True)
            return
        record = scope_record(entries[-1], owner)
        record.expired_ns = now_ns = monotonic_ns()
        record.cancel_origin = CancelOrigin(
            now_ns, owner.serial, owner.last_name or owner.name, record.flat_stack, (), "deadline"
        )
        try:
            record.scope = weakref.ref(scope)
        except TypeError:  # a scope that takes no weak references
            record.scope = None
        self.expired += 1
        self.cancelled += 1
        self.cancelling[record.serial] = record

    def deadline_expired(self, scope: Any, entered_by: Any = None) -> ScopeRecord | None:
        """Record that the deadline of a scope passed; `entered_by` as in `find`."""
        record = self.find(scope, entered_by)
        if record is not None and not record.expired_ns:
            record.expired_ns = monotonic_ns()
            self.expired += 1
        return record

    def cancels(
        self, scope: Any, entered_by: Any, task: Any, running: Any, frame: FrameType | None
    ) -> None:
        """Record that a cancelled scope is about to cancel a task in it, at `frame`.

        `running` is the task that makes it do so, None where the loop itself does: that is in one
        place of the library, and `frame` may be None once `delivers_at` is known.
        """
        owner: Any = self.last
        if owner() is not entered_by:
            owner = self._live.get(id(entered_by))
        entries = owner.open_scopes if owner is not None else None
        record: ScopeRecord | None
        if entries and entries[-1][0] == id(scope):  # almost always
            record = entries[-1][-1] or scope_record(entries[-1], owner)
        else:
            record = self.find(scope, entered_by)
        if record is None:
            self._tasks.cancel_requested(task, frame, "scope")
        elif running is None:
            if frame is not None:
                self.delivers_at = (frame.f_code, frame.f_lasti)
            if task is entered_by and type(task) is asyncio.Task and owner() is task:
                if not task.done() and not owner.ended_ns:  # almost always
                    parked = parked_below(task.get_coro())
                    self._tasks.cancelled_at(
                        owner, task, "scope", self.delivers_at, record, parked=parked
                    )
            else:
                self._tasks.cancelled_by(record, task, "scope", self.delivers_at)
        else:
            at = capture_flat(frame, self.stack_depth)
            self._tasks.cancelled_by(record, task, "scope", at, self._live.get(id(running)))

    def delivering(self, scope: Any, entered_by: Any) -> None:
        """Count an attempt of a cancelled scope to deliver its cancellation, or leave it.

        Called for every 64th attempt that any scope makes; the scope that makes it is watched, and
        while it is, this is called for all. One that makes no attempt until the next 64th is
        watched no more.
        """
        self._until_sample -= self._counted
        sampled = self._until_sample <= 0
        if sampled:
            self._until_sample = SAMPLED
        if sampled and (self.watched is None or self.watched.deliveries == self._deliveries_then):
            self.watched = self._refused.get(id(scope)) or self.find(scope, entered_by)
        watched = self.watched
        if watched is not None:
            if watched.key == id(scope):
                self._count(watched)
                if watched.deliveries >= _SPIN:  # it is told
                    self.watched = None
            if sampled:
                self._deliveries_then = watched.deliveries
        self.unseen = self._counted = 1 if self.watched is not None else self._until_sample

    def delivered(self, scope: Any) -> None:
        """Count one attempt of a cancelled scope to deliver its cancellation."""
        record = self._refused.get(id(scope)) or self.find(scope)
        if record is not None:
            self._count(record)

    def _count(self, record: ScopeRecord) -> None:
        record.deliveries += 1
        if record.deliveries == _SPIN:
            self._moments.fire("scope_spinning", record)

    def tasks_in(self, record: ScopeRecord) -> list[TaskRecord]:
        """Return the tasks that an anyio scope would cancel, those of its inner scopes included."""
        reference = record.scope
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
