"""The exact end of tasks on Python 3.12 and newer, seen by `sys.monitoring`.

The root coroutine's code object is asked for its returns. Frames left by an exception are
announced for all code before Python 3.15, as are those into which one is thrown, once that can
tell something; the checks here leave at the first comparison that fails.
"""

import sys
from asyncio import CancelledError
from collections.abc import Callable
from time import monotonic_ns
from types import CodeType
from typing import Any, Final

from autoinstrument.hooks import monitoring
from autoinstrument.hooks.patching import Patches
from autoinstrument.places import capture, capture_flat
from autoinstrument.records import CANCELLED, FAILED, RETURNED, TaskRecord
from autoinstrument.stacks import ASYNC_GENERATOR
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.running import running_task
from autoinstrument.trackers.tasks import TaskTracker

_SIGNS: Final = (
    "different loop",
    "different event loop",
    "different Context",
    "generator is already running",
    "Event loop is closed",
)
_COROUTINE: Final = 0x80  # CO_COROUTINE
_module_at: Final[Any] = getattr(sys, "_getframemodulename", None)  # Python 3.12


class EndObserver:
    """Turns monitoring events into ends of tasks."""

    def __init__(self, tasks: TaskTracker, moments: Moments, failed: Any) -> None:
        """Keep the tracker; `roots` are the code objects of tasks."""
        self._tasks = tasks
        self._find: Callable[[int], TaskRecord | None] = tasks.live.get
        self._task_ended = tasks.task_ended
        self._failed = failed
        self._moments = moments
        self._last_error = 0
        self._seeing_ends = self._seeing_errors = True
        self.roots = tasks.roots
        self._names = {code.co_qualname for code in tasks.roots.values()}

    def root_seen(self, code: CodeType, coro: Any) -> None:
        """The first task with this root code was created."""
        self._names.add(code.co_qualname)
        monitoring.watch_return(code)
        body = getattr(coro, "cr_frame", None)
        names = body.f_globals if body is not None else None
        self._moments.fire("root_seen", code, names)

    def returned(self, code: CodeType, offset: int, value: Any) -> None:
        """Watched code returns; it is a root only when no coroutine awaits it.

        The loop calls it from `asyncio.events`; to look at that frame itself would cost more
        than all the rest.
        """
        try:
            record = self._find(id(running_task()))
            if record is None or record.code is not code or record.ended_ns:
                return
            if _module_at(2) != "asyncio.events" and not _is_bottom(sys._getframe(1)):
                return
            tasks = self._tasks
            if record.story is None and not record.open_scopes:
                record.ended_ns = monotonic_ns()  # as below, when there is nothing else to tell
                record.outcome = RETURNED
                tasks.ended += 1
                outbox = tasks.outbox
                if outbox is not None:
                    outbox.task_ended(record)
            else:
                self._task_ended(record, RETURNED)
        except RuntimeError:
            return  # no loop runs in this thread
        except Exception as exc:
            self._stop(exc)

    def unwound(self, code: CodeType, offset: int, error: BaseException) -> None:
        """A frame is left by an exception."""
        kind = type(error)
        if kind is GeneratorExit:
            return  # a generator is closed
        if kind is CancelledError:
            pass  # it passes many frames
        elif kind is RuntimeError or kind is ValueError:
            self._error_seen(error, sys._getframe(1))
        elif kind is SystemExit and sys._getframe(1).f_back is None:
            self._moments.fire("exit_requested", getattr(error, "code", 1))
        if code.co_qualname not in self._names:  # a third of what `id()` takes
            return
        if id(code) not in self.roots or not self._seeing_ends:
            return
        try:
            record = self._tasks.running_root(code)
            if record is not None and _is_bottom(sys._getframe(1)):
                outcome = CANCELLED if type(error).__name__ == "CancelledError" else FAILED
                self._tasks.task_ended(record, outcome, None if outcome == CANCELLED else error)
        except Exception as exc:
            self._stop(exc)

    def _stop(self, exc: Exception) -> None:
        """See no more ends after an error of ours."""
        self._seeing_ends = False
        self._find = _nobody
        self._failed("task ends", exc)

    def thrown(self, code: CodeType, offset: int, error: BaseException) -> None:
        """An exception is thrown into a frame: a cancellation, or a foreign future was awaited."""
        kind = type(error)
        if kind is GeneratorExit:
            return  # a generator is closed
        if kind is RuntimeError:
            self._error_seen(error, sys._getframe(1))
        elif kind is CancelledError and self._tasks.scheduled_cancels:
            record = self._tasks.current()
            if record is not None:
                parked = capture_flat(sys._getframe(1), 24)
                self._moments.fire("cancellation_thrown", record, parked)

    def _error_seen(self, error: BaseException, frame: Any) -> None:
        """Tell about an error of a kind that misuse of loops and contexts makes, once."""
        try:
            if self._seeing_errors and id(error) != self._last_error:
                self._last_error = id(error)
                text = error.args[0] if error.args else None
                if type(text) is str and any(sign in text for sign in _SIGNS):
                    self._moments.fire(
                        "error_seen", error, capture(frame, 24), self._tasks.current()
                    )
        except Exception as exc:
            self._seeing_errors = False
            self._failed("errors", exc)


def _nobody(task_id: int) -> None:
    return None


def _is_bottom(frame: Any) -> bool:
    """Whether a running frame is the outermost of its task: its caller is no coroutine."""
    outer = frame.f_back
    return outer is None or not outer.f_code.co_flags & (_COROUTINE | ASYNC_GENERATOR)


def install(
    patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any
) -> EndObserver | None:
    """Observe ends where the interpreter can tell them without being seen."""
    observer = EndObserver(tasks, moments, failed)
    if not monitoring.observe_ends(observer.returned, observer.unwound):
        return None
    moments.on("throws_count", lambda: monitoring.observe_throws(observer.thrown))
    tasks.root_seen = observer.root_seen
    patches.observed("task ends", "sys.monitoring", monitoring.release)
    return observer
