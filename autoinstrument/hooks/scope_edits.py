"""What is woven into the scopes of asyncio and anyio, and the port that it calls.

Almost every scope is left by the task that entered it, before those around it. That exit is
recorded by the woven code itself, in the task's record; whatever differs calls the port: other
tasks, another order, scopes that something happened to, exporters that want to know the time.
"""

import sys
from typing import Any

from autoinstrument.hooks.ports import RUNNING, Port, nothing, running_names
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


def entered(kind: str, task: str, shield: str = "False") -> str:
    """Return code that records an entry; `task` is what the library calls the running task."""
    return f"""
try:
    port.enter(self, {kind!r}, port_frame(1), {task}, {shield})
except Exception:
    port.entered(self, {kind!r}, {shield})
"""


def leaving(otherwise: str, task: str = RUNNING) -> str:
    """Return code that records the usual exit; `otherwise` is the call for any other one.

    No variable holds the task: the library's frame is part of it.
    """
    return f"""
try:
    asyncscope_task = port_scopes.last
    if asyncscope_task() is not {task}:
        asyncscope_task = port_live(port_id({task}))
    asyncscope_scope = asyncscope_task.open_scopes[-1]
    if (
        asyncscope_scope[0] == port_id(self)
        and asyncscope_scope[6] is None
        and port_scopes.outbox is None
    ):
        asyncscope_task.open_scopes.pop()
        port_scopes.left += 1
    else:
        {otherwise}
    asyncscope_scope = None  # after an `if`, 3.11 would trace the line that follows twice
except Exception:
    {otherwise}
"""


class ScopePort(Port):
    """What the ports of asyncio's and anyio's scopes share."""

    def __init__(
        self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the trackers' methods at hand."""
        super().__init__(failed)
        self.tells("enter", scopes.enter)
        self.inline = {**running_names(tasks), "frame": sys._getframe, "scopes": scopes}
        self._scopes = scopes
        self._tasks = tasks
        self._moments = moments

    def entered(self, scope: Any, kind: str, shield: bool) -> None:
        """A scope is entered, and `enter` has raised: it does not know the task, or has failed."""
        error = sys.exception()
        try:
            if error is not None and not isinstance(error, KeyError):
                raise error
            self._scopes.scope_entered(scope, kind, sys._getframe(2), None, shield)
        except Exception as exc:
            self.tells("enter", nothing)
            self.failed("entered", exc)


def announce(port: ScopePort, tasks: TaskTracker, owner: Any, name: str) -> None:
    """Note that woven code tells of the cancellations by a method, if it could be woven."""
    code = getattr(owner, name).__code__
    if port in code.co_consts:
        tasks.telling[id(code)] = code
