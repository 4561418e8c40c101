"""Tasks: one record each, from creation to the end, and who cancelled it."""

from asyncio import current_task
from collections import deque
from time import monotonic_ns
from types import CodeType, FrameType
from typing import Any, NamedTuple

from autoinstrument import stacks
from autoinstrument.places import capture, traceback_places
from autoinstrument.records import (
    CANCELLED,
    ENDED,
    FAILED,
    RETURNED,
    CancelOrigin,
    RawStack,
    ScopeRecord,
    TaskRecord,
    name_of,
)
from autoinstrument.trackers.moments import Moments

_MOST_HANDED = 10_000
_MOST_CANCELS = 8  # origins kept per task


class ScheduledCancel(NamedTuple):
    """Who handed the `cancel` of a task to the loop, where and how."""

    record: TaskRecord  # of the task to be cancelled
    via: str  # "timer", "threadsafe" or "signal"
    stack: RawStack
    by_serial: int
    by_task: str


class TaskTracker:
    """Owns the records of all tasks; live ones by identity, ended ones in a bounded queue."""

    def __init__(self, moments: Moments, stack_depth: int = 8, keep: int = 20_000) -> None:
        """Start empty.

        Args:
            moments: who is told when a task is created, cancelled or over.
            stack_depth: frames kept of the place where a task is created.
            keep: how many ended tasks are kept until somebody takes them.
        """
        self.live: dict[int, TaskRecord] = {}
        self.finished: deque[TaskRecord] = deque(maxlen=keep)
        self.cancelling: dict[int, TaskRecord] = {}
        self.scheduled_cancels: dict[int, ScheduledCancel] = {}  # by the number of the task
        self.created = 0
        self.ended = 0
        self.cancelled = 0
        self.failed = 0
        self.dropped = 0
        self.hidden: set[int] = set()  # loops whose tasks are not recorded
        self.hops = 0  # functions sent to threads
        self._handed: dict[int, RawStack] = {}  # coroutine -> where another thread gave it
        self.stack_depth = stack_depth
        self.root_seen: Any = None  # called with the root code object of each new task
        self.program_span: Any = None  # called with each new task and its record
        self.outbox: deque[TaskRecord] | None = None  # ended tasks for the exporters
        self._moments = moments

    # -- facts told by hooks ---------------------------------------------------------------

    def task_created(self, task: Any, coro: Any, frame: FrameType | None) -> TaskRecord:
        """Record a new task; `frame` is where it is created, in the creating task.

        An eager task has run its first step by now, or is over already.
        """
        if self.hidden and id(getattr(task, "_loop", None)) in self.hidden:
            return TaskRecord(task)  # of a debugger's own loop: nobody follows it
        record = self.live.get(id(task))
        if record is None or record() is not task:  # else an eager task's first step was seen
            record = self._begin(task, coro)
        record.stack = capture(frame, self.stack_depth)
        if self._handed:
            record.stack = self._handed.pop(id(coro), record.stack)
        creator = self.current()
        if creator is not None and creator is not record:
            record.creator = creator.serial
        if self.program_span is not None:
            self.program_span(task, record)
        if record.code is not None and self.root_seen is not None:
            self.root_seen(record.code, coro)
        return record

    def _begin(self, task: Any, coro: Any) -> TaskRecord:
        """Make the record of a task, with what the task itself tells."""
        record = TaskRecord(task, self._gone)
        self.created += 1
        record.key = id(task)
        record.serial = self.created
        record.code = getattr(coro, "cr_code", None) or getattr(coro, "gi_code", None)
        record.qualname = _qualname(coro)
        record.created_ns = monotonic_ns()
        record.stack = ()
        record.loop_id = id(getattr(task, "_loop", None))
        record.thread_id = record.creator = record.ended_ns = record.hops = 0
        record.end_is_exact = False
        record.outcome = record.error_type = ""
        record.raised_at = ()
        record.cancels = record.scopes = record.wait = record.trace = None
        record.last_name = name_of(task, record.serial)
        self.live[record.key] = record
        return record

    def handed_over(self, coro: Any, frame: FrameType | None) -> None:
        """Record that another thread hands a coroutine to a loop, which makes its task later."""
        if len(self._handed) >= _MOST_HANDED:
            self._handed.clear()
        self._handed[id(coro)] = capture(frame, self.stack_depth)

    def hopped(self) -> None:
        """Record that the running task sends a function to a thread."""
        self.hops += 1
        record = self.current()
        if record is not None:
            record.hops += 1

    def current(self) -> TaskRecord | None:
        """Return the record of the running task, made now for a task unknown so far."""
        try:
            task = current_task()
        except RuntimeError:  # no loop runs in this thread
            return None
        return self.record_of(task) if task is not None else None

    def record_of(self, task: Any) -> TaskRecord | None:
        """Return a task's record; a task that was never seen gets one now."""
        record = self.live.get(id(task))
        if record is not None and record() is task:
            return record
        try:
            return self._seen_late(task)
        except TypeError:  # no weak references to this task class
            return None

    def _seen_late(self, task: Any) -> TaskRecord:
        if self.hidden and id(getattr(task, "_loop", None)) in self.hidden:
            raise TypeError("a task of a debugger's own loop")
        coro = task.get_coro() if hasattr(task, "get_coro") else None
        return self._begin(task, coro)

    def root_ended(self, code: CodeType, outcome: str, error: BaseException | None = None) -> None:
        """Record the exact end of the running task, when it is its root coroutine that ends."""
        record = self.current()
        if record is None or record.code is not code or record.ended_ns:
            return
        self.task_ended(record, outcome, error, exact=True)

    def task_ended(
        self,
        record: TaskRecord,
        outcome: str,
        error: BaseException | None = None,
        *,
        exact: bool = False,
    ) -> None:
        """Record an end; called once a task, by whoever sees it first."""
        record.ended_ns = monotonic_ns()
        record.end_is_exact = exact
        record.outcome = outcome
        record.last_name = record.name
        if error is not None:
            record.error_type = type(error).__qualname__
            record.raised_at = traceback_places(error)
        self.ended += 1
        self.failed += outcome == FAILED
        self.cancelled += outcome == CANCELLED
        if self.outbox is not None:
            self.outbox.append(record)
        self._moments.fire("task_ended", record)
        if error is not None:
            self._moments.fire("error_seen", error, record.raised_at, record)

    def _gone(self, record: TaskRecord) -> None:
        """The task object died: the last moment at which its end can be recorded."""
        try:
            if self.live.get(record.key) is record:
                del self.live[record.key]
            self.cancelling.pop(record.serial, None)
            self.scheduled_cancels.pop(record.serial, None)
            if not record.ended_ns:
                self.task_ended(record, record.outcome or ENDED)
            if len(self.finished) == self.finished.maxlen:
                self.dropped += 1
            self.finished.append(record)
        except Exception as exc:
            self._moments.failed("task records", exc)

    def cancel_requested(
        self, task: Any, frame: FrameType | None, via: str, scope: ScopeRecord | None = None
    ) -> None:
        """Record that a cancellation is asked for; `frame` is where."""
        record = self.record_of(task)
        if record is None or record.ended:
            return
        by = self.current()
        origin = CancelOrigin(
            monotonic_ns(),
            by.serial if by is not None else 0,
            by.name if by is not None else "",
            capture(frame, self.stack_depth),
            stacks.parked(task),
            via=via,
            by_scope=scope,
            waiter_id=id(stacks.awaited(task)),
        )
        self._add_cancel(record, origin)
        self._propagate(task, origin)

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

    def cancel_arrived(self, record: TaskRecord, how: ScheduledCancel, parked: RawStack) -> None:
        """Record a cancellation that the loop delivers for whoever handed `task.cancel` to it."""
        task = record()
        origin = CancelOrigin(
            monotonic_ns(),
            how.by_serial,
            how.by_task,
            how.stack,
            parked,
            via=how.via,
            waiter_id=id(stacks.awaited(task)),
        )
        self._add_cancel(record, origin)
        self._propagate(task, origin)

    def _propagate(self, task: Any, origin: CancelOrigin) -> None:
        """Follow a cancellation through the tasks that are awaited directly."""
        for _ in range(50):
            task = stacks.awaited(task)
            record = self.live.get(id(task)) if task is not None else None
            if record is None or record() is not task:
                return
            self._add_cancel(
                record,
                CancelOrigin(
                    origin.at_ns,
                    origin.by_serial,
                    origin.by_task,
                    origin.stack,
                    stacks.parked(task),
                    via="propagated",
                    by_scope=origin.by_scope,
                    waiter_id=id(stacks.awaited(task)),
                ),
            )

    def _add_cancel(self, record: TaskRecord, origin: CancelOrigin) -> None:
        if record.cancels is None:
            record.cancels = []
        if len(record.cancels) >= _MOST_CANCELS:
            del record.cancels[1]  # the first and the latest ones explain most
        record.cancels.append(origin)
        self.cancelling[record.serial] = record
        self._moments.fire("cancel_requested", record, origin)

    def lately(self, task: Any) -> TaskRecord | None:
        """Return the record of a task that is alive or has just died.

        The collector clears weak references before a task's own last words are said.
        """
        key = id(task)
        record = self.live.get(key)
        if record is not None:
            return record
        for ended in reversed(list(self.finished)[-500:]):
            if ended.key == key:
                return ended
        return None

    # -- questions -------------------------------------------------------------------------

    def pending(self) -> list[TaskRecord]:
        """Return the records of tasks that are not over."""
        return [record for record in list(self.live.values()) if not record.ended]

    def find(self, serial: int) -> TaskRecord | None:
        """Return a live task's record by its number."""
        for record in list(self.live.values()):
            if record.serial == serial:
                return record
        return None

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {
            "created": self.created,
            "ended": self.ended,
            "active": len(self.live),
            "cancelled": self.cancelled,
            "failed": self.failed,
            "thread_hops": self.hops,
        }


def _qualname(coro: Any) -> str:
    """Return what a task runs; anyio 4.14 and newer run it in a coroutine of their own."""
    name = getattr(coro, "__qualname__", None) or type(coro).__name__
    if name == "TaskHandle._run_coro" and coro.cr_frame is not None:
        handle = coro.cr_frame.f_locals.get("self")
        inner = getattr(handle, "_coro", None)
        name = getattr(inner, "__qualname__", name)
    return str(name)


def outcome_of(task: Any) -> tuple[str, BaseException | None]:
    """Return how a finished task ended without marking its exception as retrieved."""
    if task.cancelled():
        return CANCELLED, None
    error = getattr(task, "_exception", None)
    return (FAILED, error) if error is not None else (RETURNED, None)
