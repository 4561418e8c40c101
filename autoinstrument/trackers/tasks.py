"""Tasks: one record each, from creation to the end.

`task_created`, `task_ended` and what `_burial` returns run once for every task of the program:
they read and write slots of one record and call nothing that they can do without. It counts not
only how much they execute but also how many different things: each of them displaces what the loop
needs from the processor's first cache (docs/performance.md).
"""

import asyncio
import asyncio.taskgroups
import asyncio.tasks
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from types import CodeType, CoroutineType, FrameType
from typing import Any, Final

from autoinstrument import env, stacks
from autoinstrument.native import get_ident
from autoinstrument.places import SharedStacks, capture_flat, traceback_places
from autoinstrument.records import (
    CANCELLED,
    ENDED,
    FAILED,
    RETURNED,
    FlatStack,
    ScopeRecord,
    TaskRecord,
    name_of,
)
from autoinstrument.trackers.cancellations import CancellationTracker
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.outbox import TaskOutbox
from autoinstrument.trackers.running import known, running_loop, running_task

_MOST_HANDED: Final = 10_000
_MOST_ROOTS: Final = 10_000
_KEPT: Final = 1_000  # ended tasks; detectors look at the last few hundred

_SEES_ENDS: Final = env.HAS_MONITORING
_current_tasks: Final[Any] = vars(asyncio.tasks).get("_current_tasks")

CALLER: Final[Any] = object()
"""Stands for the frame that has called the loop's `create_task`, in which the tracker is called."""

_MAKERS: Final = frozenset({"asyncio.tasks", "asyncio.taskgroups"})
_LOOP: Final = "asyncio.events"  # whose `Handle` calls what was handed to the loop
_CLOSING: Final = "async_generator_athrow"  # what `aclose()` of a generator returns
_closing: Final[list[type]] = [CoroutineType]  # that type, once one has been seen
_getframe: Final = sys._getframe
_module_at: Final[Any] = getattr(sys, "_getframemodulename", None)  # Python 3.12
_LOOP_FILE: Final = asyncio.Handle._run.__code__.co_filename
_MAKER_FILES: Final = frozenset({asyncio.tasks.__file__, asyncio.taskgroups.__file__})


class _LoopRef(weakref.ref[Any]):
    """A loop and its identity in one object: another thread may change which one is kept."""

    __slots__ = ("loop_id",)

    loop_id: int


class TaskTracker(CancellationTracker):
    """Owns the records of all tasks; live ones by identity, the last ended ones in a queue."""

    def __init__(self, moments: Moments, stack_depth: int = 8) -> None:
        """Start empty.

        Args:
            moments: who is told when a task is cancelled or fails.
            stack_depth: frames kept of the place where a task is created.
        """
        super().__init__(moments, stack_depth)
        self.finished: deque[TaskRecord] = deque(maxlen=_KEPT)
        self.created = 0
        self.ended = 0
        self.cancelled = 0
        self.failed = 0
        self.hidden: set[int] = set()  # loops whose tasks are not recorded
        self.hops = 0  # functions sent to threads
        self._handed: dict[int, FlatStack] = {}  # coroutine -> where another thread gave it
        self.root_seen: Any = None  # called with the root code object of each new task
        self.program_span: Any = (
            None  # called with each new task made in a context that is not empty
        )
        self.program_context: Any = None  # what such a context is found in
        self.roots: dict[int, CodeType] = {}  # those it was called with, by identity
        self.outbox: TaskOutbox | None = None  # for the exporters
        self.left_open: dict[int, ScopeRecord] = {}  # scopes that ended tasks have not left
        # What the task before had; the next one has it too, as a rule.
        self._loop = _LoopRef(nobody)
        self._creator: Callable[[], Any] = nobody
        self._last_code: CodeType | None = None
        self._stacks = SharedStacks(stack_depth)
        self._when_gone = self._burial()

    # -- facts told by hooks ---------------------------------------------------------------

    def task_created(  # noqa: C901, PLR0912, PLR0915 # in one piece: a call is 1 % of a task
        self, task: Any, coro: Any, frame: FrameType | None, loop: Any = None
    ) -> TaskRecord:
        """Record a new task; `frame` is where it is created, in the creating task, or CALLER.

        An eager task has run its first step by now, or is over already.

        Raises:
            TypeError: a task factory has made an object that takes no weak references.
        """
        if self.hidden and id(getattr(task, "_loop", None)) in self.hidden:
            return TaskRecord(task)  # of a debugger's own loop: nobody follows it
        live = self.live
        key = id(task)
        if key in live:  # an eager task's first step was seen
            record = live[key]
        else:
            record = TaskRecord(task, self._when_gone)
            self.created = record.serial = self.created + 1
            record.key = key
            record.created_ns = monotonic_ns()
            record.ended_ns = record.creator = 0
            record.waiter_id = -1
            record.outcome = record.last_name = ""
            record.open_scopes = record.open_wait = record.story = None
            if not _SEES_ENDS:  # and the name is there already
                name = task.get_name() if type(task) is asyncio.Task else None
                record.last_name = name if type(name) is str else name_of(task, record.serial)
            if type(coro) is CoroutineType:
                code: CodeType | None = coro.cr_code
                record.qualname = coro.__qualname__
            elif type(coro) is _closing[0]:
                code = None
                record.qualname = _CLOSING
            else:  # attributes that are missing without an error: to word one takes long
                code = getattr(coro, "cr_code", None) or getattr(coro, "gi_code", None)
                record.qualname = getattr(coro, "__qualname__", None) or type(coro).__name__
                if record.qualname == _CLOSING:
                    _closing[0] = type(coro)
            record.code = code
            of_loop = self._loop
            if of_loop() is not loop:
                of_loop = self._other_loop(task, loop)
            record.loop_id = of_loop.loop_id
            live[key] = record
            if code is not self._last_code:
                self._other_code(record, coro)
        above = 0
        if frame is CALLER:
            above = 2
            if _module_at is not None:
                # asyncio's own frame between is new each time, and dear to look at
                maker = _module_at(2)
                if maker in _MAKERS:
                    frame = _getframe(3)
                    above = 3
                else:
                    frame = _getframe(2) if maker != _LOOP else None
            else:
                frame = _getframe(2)
                file = frame.f_code.co_filename
                if file in _MAKER_FILES:
                    frame = frame.f_back
                elif file == _LOOP_FILE:
                    frame = None
        creator: Any = None
        running = None
        try:
            running = (
                running_task()
                if _SEES_ENDS
                else _current_tasks.get(
                    known.loop if known.thread == get_ident() else running_loop()
                )
            )
            if running is not None:
                creator = self._creator
                if creator() is not running:
                    creator = self._other_creator(running)
        except RuntimeError:  # no loop runs in this thread
            creator = None
        if creator is None or creator is record:
            record.flat_stack = self._stacks.called(frame, above) if frame is not None else ()
        else:
            record.creator = creator.serial
            record.flat_stack = self._stacks.up_to(creator, running, frame)
        if self._handed:
            record.flat_stack = self._handed.pop(id(coro), record.flat_stack)
        if self.program_span is not None and self.program_context.get(None):
            self.program_span(task, record)
        return record

    def _other_code(self, record: TaskRecord, coro: Any) -> None:
        """Look at a task that runs another function than the one before."""
        code = record.code
        if record.qualname == "TaskHandle._run_coro":  # with another function in it each time
            record.qualname = _behind_handle(coro)
        else:
            self._last_code = code
        if code is not None and id(code) not in self.roots and len(self.roots) < _MOST_ROOTS:
            self.roots[id(code)] = code
            if self.root_seen is not None:
                self.root_seen(code, coro)

    def _other_loop(self, task: Any, loop: Any) -> _LoopRef:
        """Keep the loop of a task, which is not the one of the task before."""
        if loop is None:
            loop = getattr(task, "_loop", None)
        known.task_made(loop)
        found = _LoopRef(loop if loop is not None else nobody)
        found.loop_id = id(loop)
        self._loop = found
        return found

    def _other_creator(self, running: Any) -> TaskRecord | None:
        """Keep who creates tasks now; None for a task that is not known."""
        creator = self.live.get(id(running))
        if creator is not None:
            self._creator = creator
        return creator

    def handed_over(self, coro: Any, frame: FrameType | None) -> None:
        """Record that another thread hands a coroutine to a loop, which makes its task later."""
        if len(self._handed) >= _MOST_HANDED:
            self._handed.clear()
        self._handed[id(coro)] = capture_flat(frame, self.stack_depth)

    def hopped(self) -> None:
        """Record that the running task sends a function to a thread."""
        self.hops += 1
        record = self.current()
        if record is not None:
            record.told().hops += 1

    def current(self) -> TaskRecord | None:
        """Return the record of the running task, made now for a task unknown so far.

        Hot functions look into `live` themselves and call this for a task unknown so far.
        """
        try:
            task = running_task()
        except RuntimeError:  # no loop runs in this thread
            return None
        return self.live.get(id(task)) or (self.record_of(task) if task is not None else None)

    def record_of(self, task: Any) -> TaskRecord | None:
        """Return a task's record; a task that was never seen gets one now."""
        record = self.live.get(id(task))
        if record is not None and record() is task:
            return record
        if self.hidden and id(getattr(task, "_loop", None)) in self.hidden:
            return None
        try:
            coro = stacks.root_of(task)
            self.live.pop(id(task), None)
            record = self.task_created(task, coro, None)
            record.creator = 0  # whoever asks has not created it
            return record
        except TypeError:  # no weak references to this task class
            return None

    def running_root(self, code: CodeType) -> TaskRecord | None:
        """Return the record of the running task if `code` is its root's and it is not over."""
        record = self.current()
        return (
            record if record is not None and record.code is code and not record.ended_ns else None
        )

    def task_ended(
        self, record: TaskRecord, outcome: str, error: BaseException | None = None
    ) -> None:
        """Record an exact end; called once a task, by whoever sees it first."""
        record.ended_ns = monotonic_ns()
        record.outcome = outcome
        self.ended += 1
        if outcome is not RETURNED:
            self.failed += outcome == FAILED
            self.cancelled += outcome == CANCELLED
            record.told()
        if record.story is not None or record.open_scopes:
            self._ended_with_story(record)
        if self.outbox is not None:
            self.outbox.task_ended(record)
        if error is not None:
            story = record.told()
            story.error_type = type(error).__qualname__
            story.raised_at = traceback_places(error)
            self._moments.fire("error_seen", error, story.raised_at, record)

    def _ended_with_story(self, record: TaskRecord) -> None:
        """Keep what somebody may ask for after the end: the name, and scopes that were not left."""
        record.last_name = record.name
        for scope in record.scopes:
            if len(self.left_open) < _KEPT:
                self.left_open[scope.serial] = scope

    def _burial(self) -> Callable[[TaskRecord], None]:
        """Return what is called when a task object died: the last moment to record its end.

        At the interpreter's end modules are emptied one by one; that is no failure to tell.
        """
        forget, bury = self.live.pop, self.finished.append
        cancelling, scheduled_cancels = self.cancelling, self.scheduled_cancels
        finalizing = sys.is_finalizing

        def gone(record: TaskRecord) -> None:
            try:
                forget(record.key, None)
                if cancelling:
                    cancelling.pop(record.serial, None)
                if scheduled_cancels:
                    scheduled_cancels.pop(record.serial, None)
                if not record.ended_ns:
                    record.ended_ns = monotonic_ns()
                    record.outcome = ENDED
                    self.ended += 1
                    if record.story is not None or record.open_scopes:
                        self._ended_with_story(record)
                    outbox = self.outbox
                    if outbox is not None:
                        outbox.task_ended(record)
                bury(record)
            except Exception as exc:
                if not finalizing():
                    self._moments.failed("task records", exc)

        return gone

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
                ended.last_name = name_of(task, ended.serial, ended.last_name)
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


def nobody() -> Any:
    """Stand in for the reference to a task or a loop, as long as there is none."""
    return nobody  # which is neither


def _behind_handle(coro: Any) -> str:
    """Return what anyio 4.14 and newer run in a coroutine of their own.

    Before 3.13, to ask its frame for `f_locals` would leave there what anyio takes out again, so
    that an exception and its task stay in a cycle.
    """
    handles = [item for item in gc.get_referents(coro) if type(item).__name__ == "TaskHandle"]
    inner = getattr(handles[0], "_coro", None) if handles else None
    return str(getattr(inner, "__qualname__", coro.__qualname__))


def outcome_of(task: Any) -> tuple[str, BaseException | None]:
    """Return how a finished task ended without marking its exception as retrieved."""
    if task.cancelled():
        return CANCELLED, None
    error = getattr(task, "_exception", None)
    return (FAILED, error) if error is not None else (RETURNED, None)
