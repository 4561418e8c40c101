"""The exact end of tasks on Python 3.12 and newer, seen by `sys.monitoring`.

The root coroutine's code object is asked for its returns. Frames left by an exception, and
frames into which one is thrown, are announced for all code before Python 3.15; the checks
here leave at the first comparison that fails.
"""

import re
import sys
from asyncio import CancelledError
from types import CodeType
from typing import Any, Final

from autoinstrument.hooks import monitoring
from autoinstrument.hooks.patching import Patches
from autoinstrument.places import capture
from autoinstrument.records import CANCELLED, FAILED, RETURNED
from autoinstrument.stacks import ASYNC_GENERATOR
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_SIGNS: Final = re.compile(
    "different (event )?loop|different Context|generator is already running|Event loop is closed"
)
_COROUTINE: Final = 0x80  # CO_COROUTINE


class EndObserver:
    """Turns monitoring events into ends of tasks ."""

    def __init__(self, tasks: TaskTracker, moments: Moments, failed: Any) -> None:
        """Keep the tracker; `roots` are the code objects of tasks."""
        self._tasks = tasks
        self._failed = failed
        self._moments = moments
        self._last_error = 0
        self._on = {"task ends", "errors"}
        self.roots: dict[int, CodeType] = {}  # by identity: hashing a code object is dear

    def root_seen(self, code: CodeType, coro: Any) -> None:
        """A task with this root code was created."""
        if id(code) not in self.roots and len(self.roots) < 10_000:
            self.roots[id(code)] = code
            monitoring.watch_return(code)
            body = getattr(coro, "cr_frame", None)
            names = body.f_globals if body is not None else None
            self._moments.fire("root_seen", code, names)

    def returned(self, code: CodeType, offset: int, value: Any) -> None:
        """Watched code returns; it is a root only when no coroutine awaits it."""
        try:
            if "task ends" in self._on and _is_bottom(sys._getframe(1)):
                self._tasks.root_ended(code, RETURNED)
        except Exception as exc:
            self._switch_off("task ends", exc)

    def unwound(self, code: CodeType, offset: int, error: BaseException) -> None:
        """A frame is left by an exception."""
        kind = type(error)
        if kind is RuntimeError or kind is ValueError:
            self._error_seen(error, sys._getframe(1))
        elif kind is SystemExit and sys._getframe(1).f_back is None:
            self._moments.fire("exit_requested", getattr(error, "code", 1))
        if id(code) not in self.roots or "task ends" not in self._on:
            return
        try:
            if _is_bottom(sys._getframe(1)):
                outcome = CANCELLED if type(error).__name__ == "CancelledError" else FAILED
                self._tasks.root_ended(code, outcome, None if outcome == CANCELLED else error)
        except Exception as exc:
            self._switch_off("task ends", exc)

    def thrown(self, code: CodeType, offset: int, error: BaseException) -> None:
        """An exception is thrown into a frame: a cancellation, or a foreign future was awaited."""
        if type(error) is RuntimeError:
            self._error_seen(error, sys._getframe(1))
        elif type(error) is CancelledError and self._tasks.scheduled_cancels:
            record = self._tasks.current()
            if record is not None:
                parked = capture(sys._getframe(1), 24)
                self._moments.fire("cancellation_thrown", record, parked)

    def _error_seen(self, error: BaseException, frame: Any) -> None:
        """Tell about an error of a kind that misuse of loops and contexts makes, once."""
        try:
            if "errors" in self._on and id(error) != self._last_error:
                self._last_error = id(error)
                if error.args and isinstance(error.args[0], str) and _SIGNS.search(error.args[0]):
                    self._moments.fire(
                        "error_seen", error, capture(frame, 24), self._tasks.current()
                    )
        except Exception as exc:
            self._switch_off("errors", exc)

    def _switch_off(self, part: str, exc: BaseException) -> None:
        self._on.discard(part)
        self._failed(part, exc)


def _is_bottom(frame: Any) -> bool:
    """Whether a running frame is the outermost of its task: its caller is no coroutine."""
    outer = frame.f_back
    return outer is None or not outer.f_code.co_flags & (_COROUTINE | ASYNC_GENERATOR)


def install(
    patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any
) -> EndObserver | None:
    """Observe ends where the interpreter can tell them without being seen."""
    observer = EndObserver(tasks, moments, failed)
    if not monitoring.observe_ends(observer.returned, observer.unwound, observer.thrown):
        return None
    tasks.root_seen = observer.root_seen
    patches.observed("task ends", "sys.monitoring", monitoring.release)
    return observer
