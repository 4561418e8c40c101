"""Cancellations of tasks: who asked, where, through which scope, and where the task was parked.

A request goes on to the task that the cancelled one awaits, and so on. Detectors hear at once of
what the program itself cancels, and on the next tick of what a scope does, unless it was left by
then: almost all deadlines that pass are over in the next turn of the loop.
"""

import asyncio
from abc import ABC, abstractmethod
from time import monotonic_ns
from types import CodeType, FrameType
from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.places import capture_flat
from autoinstrument.records import CancelOrigin, FlatStack, ScopeRecord, TaskRecord
from autoinstrument.trackers.moments import Moments

_MOST_CANCELS: Final = 8  # origins kept per task
_MOST_TOLD_LATER: Final = 10_000  # of one scope
_PASSED_ON: Final = range(50)  # tasks that one request is followed through


class ScheduledCancel:
    """Who handed the `cancel` of a task to the loop, where and how."""

    __slots__ = ("by_serial", "by_task", "record", "stack", "via")

    def __init__(
        self, record: TaskRecord, via: str, stack: FlatStack, by_serial: int, by_task: str
    ) -> None:
        """Keep who it was; `via` is "timer", "threadsafe" or "signal"."""
        self.record = record  # of the task to be cancelled
        self.via = via
        self.stack = stack
        self.by_serial = by_serial
        self.by_task = by_task


class CancellationTracker(ABC):
    """What the tracker of tasks knows about their cancellations."""

    def __init__(self, moments: Moments, stack_depth: int) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.live: dict[int, TaskRecord] = {}
        self.cancelling: dict[int, TaskRecord] = {}
        self.scheduled_cancels: dict[int, ScheduledCancel] = {}  # by the number of the task
        self.telling: dict[int, CodeType] = {}  # code that tells itself whom it cancels
        self.stack_depth = stack_depth
        self.hitting: dict[int, ScopeRecord] = {}  # scopes with something to tell, by number
        self._moments = moments

    @abstractmethod
    def current(self) -> TaskRecord | None:
        """Return the record of the running task."""

    @abstractmethod
    def record_of(self, task: Any) -> TaskRecord | None:
        """Return a task's record; a task that was never seen gets one now."""

    # -- facts told by hooks ---------------------------------------------------------------

    def cancel_requested(
        self, task: Any, frame: FrameType | None, via: str, scope: ScopeRecord | None = None
    ) -> None:
        """Record that a cancellation is asked for; `frame` is where."""
        record = self.known(task)
        if record is None or record.ended:
            return
        by = self.current()
        stack = capture_flat(frame, self.stack_depth)
        if by is None:
            self.cancelled_at(record, task, via, stack, scope)
        else:
            self.cancelled_at(record, task, via, stack, scope, by.serial, by.name)

    def cancelled_by(
        self,
        scope: ScopeRecord,
        task: Any,
        via: str,
        stack: FlatStack,
        by: TaskRecord | None = None,
    ) -> None:
        """Record that a known scope is about to cancel a task, unless that is over.

        `by` is the record of the task that makes it do so, None where the loop does.
        """
        record = self.known(task) if not task.done() else None
        if record is None or record.ended_ns:
            return
        if by is None:
            self.cancelled_at(record, task, via, stack, scope)
        else:
            self.cancelled_at(record, task, via, stack, scope, by.serial, by.name)

    def cancel_arrived(self, record: TaskRecord, how: ScheduledCancel, parked: FlatStack) -> None:
        """Record a cancellation that the loop delivers for whoever handed `task.cancel` to it."""
        self.cancelled_at(
            record, record(), how.via, how.stack, None, how.by_serial, how.by_task, parked
        )

    def cancelled_at(
        self,
        record: TaskRecord,
        task: Any,
        via: str,
        stack: FlatStack,
        scope: ScopeRecord | None,
        by_serial: int = 0,
        by_task: str = "",
        parked: FlatStack | None = None,
    ) -> None:
        """Record that a task is about to be cancelled, and those that it awaits directly.

        `scope` is what does it, if that is known; `by_serial` and `by_task` are number and name of
        the task that makes it do so, 0 and nothing where the loop does.
        """
        at_ns = monotonic_ns()
        for _ in _PASSED_ON:  # in one piece: a call is a percent of a deadline that passes
            try:
                waiter = task._fut_waiter
                before = task.cancelling()
            except Exception:  # a task factory may return anything
                waiter, before = getattr(task, "_fut_waiter", None), 0
            parked = stacks.parked_flat(task) if parked is None else parked
            origin = CancelOrigin(
                at_ns, by_serial, by_task, stack, parked, via, scope, id(waiter), before
            )
            story = record.story or record.told()
            if story.cancels is None:
                story.cancels = [origin]
            else:
                if len(story.cancels) >= _MOST_CANCELS:
                    del story.cancels[1]  # the first and the latest ones explain most
                story.cancels.append(origin)
            self.cancelling[record.serial] = record
            if record.waiter_id == origin.waiter_id:
                self._moments.fire("wait_cancelled", record, origin)
            if scope is None:
                self._moments.fire("cancel_requested", record, origin)
            elif scope.left_ns:
                pass  # as the block of a group whose children are cancelled
            elif not scope.hits:
                scope.hits = [(record, origin)]
                self.hitting[scope.serial] = scope
            elif len(scope.hits) < _MOST_TOLD_LATER:
                scope.hits.append((record, origin))
            if type(waiter) is asyncio.Future:
                return  # most tasks wait for one, which waits for nothing
            following = self.live.get(origin.waiter_id)
            if following is None or following() is not waiter:
                return
            record, task, via, parked = following, waiter, "propagated", None

    def known(self, task: Any) -> TaskRecord | None:
        """Return a task's record as `record_of` does, at the price of a look-up."""
        record = self.live.get(id(task))
        return record if record is not None and record() is task else self.record_of(task)

    def tell_of_scopes(self, now_ns: int) -> None:
        """Tell which tasks were cancelled since the last tick by scopes that are open.

        Almost all of these are left by then, and nobody needs to look at them.
        """
        for serial in list(self.hitting):
            scope = self.hitting.pop(serial, None)
            if scope is None:
                continue
            for record, origin in scope.take_hits():
                self._moments.fire("cancel_requested", record, origin)
            if scope.hits:  # another one has come meanwhile
                self.hitting[serial] = scope

    # -- questions -------------------------------------------------------------------------

    def scheduled_cancel_of(self, record: TaskRecord) -> ScheduledCancel | None:
        """Return who handed the cancel of a task, or of one that awaits it, to the loop."""
        own = self.scheduled_cancels.get(record.serial)
        if own is not None:
            return own
        for how in list(self.scheduled_cancels.values()):
            task = how.record()
            if task is not None and stacks.awaited(task) is record():
                return how
        return None
