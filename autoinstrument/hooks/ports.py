"""Ports: the objects whose methods woven library code calls.

A port's method never raises: what goes wrong in it switches that method off for good. Where a
second call is too dear, woven code calls the tracker's method itself (`told`) and catches what it
raises.
"""

import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, ClassVar, Final

from autoinstrument import env
from autoinstrument.native import get_ident
from autoinstrument.places import capture_flat
from autoinstrument.trackers.running import known, running_loop, tasks_of_loops
from autoinstrument.trackers.tasks import TaskTracker

RUNNING: Final = (
    "port_running(port_known.loop if port_known.thread == port_ident() else port_loop())"
    if env.ASKS_FOR_PROCESS
    else "port_running()"
)
"""The running task; see `trackers/running.py`."""

_NO_OBSERVATIONS: Final = frozenset({"close", "failed", "inline", "part", "tells"})


def told(observation: str, *arguments: str) -> str:
    """Return code that tells a tracker something, see `Port.tells`."""
    return f"""
try:
    port.{observation}({", ".join(arguments)})
except Exception:
    port.failed({observation!r})
"""


def stack_of(tracker: str, task: str) -> str:
    """Return code that reads where the function was called from, inside a `try`.

    It puts a flat stack into `asyncscope_stack`, up to the own function of `task`, the running
    one, whose record is `asyncscope_task`. Almost all are one or two frames long.
    """
    return f"""
    asyncscope_frame = port_frame(1)
    asyncscope_root = {task}.get_coro().cr_frame
    if asyncscope_frame is asyncscope_root:
        asyncscope_stack = (asyncscope_task.code, asyncscope_root.f_lasti)
    elif asyncscope_frame.f_back is asyncscope_root and {tracker}.stack_depth > 1:
        asyncscope_stack = (
            asyncscope_frame.f_code,
            asyncscope_frame.f_lasti,
            asyncscope_task.code,
            asyncscope_root.f_lasti,
        )
    else:
        asyncscope_stack = port_capture(
            asyncscope_frame, {tracker}.stack_depth, None, asyncscope_root
        )
    asyncscope_frame = asyncscope_root = None  # they refer to this one
"""


def running_names(tasks: TaskTracker) -> dict[str, object]:
    """Return what `RUNNING`, `stack_of` and `port_live(port_id(...))`, a task's record, need."""
    return {
        "id": id,
        "frame": sys._getframe,
        "capture": capture_flat,
        "now": monotonic_ns,
        "live": tasks.live.__getitem__,
        "running": tasks_of_loops,
        "known": known,
        "ident": get_ident,
        "loop": running_loop,
    }


class Port:
    """Base of all ports; subclasses name their observations in `observations`."""

    part: ClassVar[str] = "hooks"

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        """Keep who is told about a failure of ours."""
        self._say_failed = failed
        self._direct: list[str] = []  # observations that are methods of trackers
        self.inline: dict[str, object] = {}  # what `port_...` names in edits stand for

    def close(self) -> None:
        """Observe nothing any more; for functions that stay in another tool's chain."""
        for name in dir(type(self)):
            if not name.startswith("_") and name not in _NO_OBSERVATIONS:
                setattr(self, name, nothing)
        for name in self._direct:
            setattr(self, name, nothing)

    def tells(self, observation: str, method: Callable[..., Any]) -> None:
        """Let woven code call a tracker's method directly; it catches what the method raises."""
        setattr(self, observation, method)
        self._direct.append(observation)

    def failed(self, observation: str, exc: BaseException | None = None) -> None:
        """Switch an observation off after an error of ours, with one warning.

        Woven code leaves out the error, which is the one that is handled now: each variable makes
        the frame of the library's function larger and dearer.
        """
        setattr(self, observation, nothing)
        error = sys.exc_info()[1] if exc is None else exc
        if error is not None:
            self._say_failed(f"{self.part}.{observation}", error)


def nothing(*facts: Any) -> Any:
    """Stand in for an observation that is off; `result` observations return their value."""
    return facts[0] if facts else None
