"""The exact end of tasks on Python 3.12 and newer, seen by `sys.monitoring`.

The root coroutine's code object is asked for its returns. Frames left by an exception, and
frames into which one is thrown, are announced for all code before Python 3.15; the checks
here leave at the first comparison that fails.
"""

import sys
from types import CodeType
from typing import Any, Final

from autoinstrument.hooks import monitoring
from autoinstrument.hooks.patching import Patches
from autoinstrument.records import CANCELLED, FAILED, RETURNED
from autoinstrument.stacks import ASYNC_GENERATOR
from autoinstrument.trackers.tasks import TaskTracker

_COROUTINE: Final = 0x80  # CO_COROUTINE


class EndObserver:
    """Turns monitoring events into ends of tasks ."""

    def __init__(self, tasks: TaskTracker, failed: Any) -> None:
        """Keep the tracker; `roots` are the code objects of tasks."""
        self._tasks = tasks
        self._failed = failed
        self.roots: set[CodeType] = set()  # strong: monitoring is tied to them

    def root_seen(self, code: CodeType) -> None:
        """A task with this root code was created."""
        if code not in self.roots and len(self.roots) < 10_000:
            self.roots.add(code)
            monitoring.watch_return(code)

    def returned(self, code: CodeType, offset: int, value: Any) -> None:
        """Watched code returns; it is a root only when no coroutine awaits it."""
        try:
            if _is_bottom(sys._getframe(1)):
                self._tasks.root_ended(code, RETURNED)
        except Exception as exc:
            self._failed("task ends", exc)

    def unwound(self, code: CodeType, offset: int, error: BaseException) -> None:
        """A frame is left by an exception."""
        if code not in self.roots:
            return
        try:
            if _is_bottom(sys._getframe(1)):
                outcome = CANCELLED if type(error).__name__ == "CancelledError" else FAILED
                self._tasks.root_ended(code, outcome, None if outcome == CANCELLED else error)
        except Exception as exc:
            self._failed("task ends", exc)


def _is_bottom(frame: Any) -> bool:
    """Whether a running frame is the outermost of its task: its caller is no coroutine."""
    outer = frame.f_back
    return outer is None or not outer.f_code.co_flags & (_COROUTINE | ASYNC_GENERATOR)


def install(patches: Patches, tasks: TaskTracker, failed: Any) -> EndObserver | None:
    """Observe ends where the interpreter can tell them without being seen."""
    observer = EndObserver(tasks, failed)
    if not monitoring.observe_ends(observer.returned, observer.unwound):
        return None
    tasks.root_seen = observer.root_seen
    patches.observed("task ends", "sys.monitoring", monitoring.release)
    return observer
