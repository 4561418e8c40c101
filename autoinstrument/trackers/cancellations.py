"""Cancellations of tasks: who asked, where, through which scope, and where the task was parked.

A request goes on to the task that the cancelled one awaits, and so on. Detectors hear at once of
what the program itself cancels, and on the next tick of what a scope does, unless it was left by
then: almost all deadlines that pass are over in the next turn of the loop.
"""

from abc import ABC, abstractmethod
from collections import deque
from time import monotonic_ns
from types import CodeType, FrameType
from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.places import capture_flat
from autoinstrument.records import CancelOrigin, FlatStack, ScopeRecord, TaskRecord
from autoinstrument.trackers.moments import Moments

_MOST_CANCELS: Final = 8  # origins kept per task
_MOST_TOLD_LATER: Final = 10_000
_MOST_VICTIMS: Final = 8  # places kept per scope
_MOST_PASSED_ON: Final = 50  # tasks that one request is followed through


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
        self._by_scopes: deque[tuple[TaskRecord, CancelOrigin]] = deque(maxlen=_MOST_TOLD_LATER)
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
        record = self._known(task)
        if record is None or record.ended:
            return
        by = self.current()
        stack = capture_flat(frame, self.stack_depth)
        if by is None:
            self._cancelled(record, task, via, stack, scope)
        else:
            self._cancelled(record, task, via, stack, scope, by.serial, by.name)

    def cancelled_by(
        self,
        scope: ScopeRecord,
        task: Any,
        via: str,
        flat_stack: FlatStack,
        by: TaskRecord | None,
    ) -> None:
        """Record that a known scope is about to cancel a task, at a place.

        `by` is the record of the task that makes it do so, None where the loop does.
        """
        record = self._known(task)
        if record is None or record.ended_ns or task.done():
            return
        if by is None:
            self._cancelled(record, task, via, flat_stack, scope)
        else:
            self._cancelled(record, task, via, flat_stack, scope, by.serial, by.name)

    def cancel_arrived(self, record: TaskRecord, how: ScheduledCancel, parked: FlatStack) -> None:
        """Record a cancellation that the loop delivers for whoever handed `task.cancel` to it."""
        self._cancelled(
            record, record(), how.via, how.stack, None, how.by_serial, how.by_task, parked
        )

    def _known(self, task: Any) -> TaskRecord | None:
        record = self.live.get(id(task))
        return record if record is not None and record() is task else self.record_of(task)

    def _cancelled(
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
        """Keep the origin of a cancellation, for the task and for those that it awaits."""
        waiter = stacks.awaited(task)
        origin = CancelOrigin(
            monotonic_ns(),
            by_serial,
            by_task,
            stack,
            stacks.parked_flat(task) if parked is None else parked,
            via,
            scope,
            id(waiter),
            _not_taken_back(task),
        )
        self._add_cancel(record, origin)
        if id(waiter) in self.live:
            self._pass_on(waiter, origin)

    def _pass_on(self, task: Any, origin: CancelOrigin) -> None:
        """Follow a cancellation through the tasks that are awaited directly, from the first."""
        for _ in range(_MOST_PASSED_ON):
            record = self.live.get(id(task)) if task is not None else None
            if record is None or record() is not task:
                return
            waiter = stacks.awaited(task)
            self._add_cancel(
                record,
                CancelOrigin(
                    origin.at_ns,
                    origin.by_serial,
                    origin.by_task,
                    origin.flat_stack,
                    stacks.parked_flat(task),
                    "propagated",
                    origin.by_scope,
                    id(waiter),
                    _not_taken_back(task),
                ),
            )
            task = waiter

    def _add_cancel(self, record: TaskRecord, origin: CancelOrigin) -> None:
        story = record.story or record.told()
        cancels = story.cancels
        if cancels is None:
            story.cancels = [origin]
        else:
            if len(cancels) >= _MOST_CANCELS:
                del cancels[1]  # the first and the latest ones explain most
            cancels.append(origin)
        self.cancelling[record.serial] = record
        if record.waiter_id == origin.waiter_id:
            self._moments.fire("wait_cancelled", record, origin)
        scope = origin.by_scope
        if scope is None:
            self._moments.fire("cancel_requested", record, origin)
            return
        victims = scope.flat_victims
        if len(victims) < _MOST_VICTIMS and not scope.left_ns and origin.flat_parked not in victims:
            victims.append(origin.flat_parked)
        self._by_scopes.append((record, origin))

    def tell_of_scopes(self, now_ns: int) -> None:
        """Tell which tasks scopes have cancelled since the last tick.

        Almost all of these are over by then, and nobody needs to look at them.
        """
        for _ in range(len(self._by_scopes)):
            record, origin = self._by_scopes.popleft()
            if origin.by_scope is not None and not origin.by_scope.left_ns:
                self._moments.fire("cancel_requested", record, origin)

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


def _not_taken_back(task: Any) -> int:
    """Return how many cancellation requests a task has not taken back; 0 when it cannot tell."""
    try:
        return int(task.cancelling())
    except Exception:  # a task factory may return anything
        return 0
