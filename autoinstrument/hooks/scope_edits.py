"""What is woven into the scopes of asyncio and anyio, and the port that it calls.

Almost every scope is left by the task that entered it, before those around it. Its entry and that
exit are recorded by the woven code itself, in the task's record; whatever differs calls the port:
other tasks, another order, scopes that something happened to.
"""

import sys
from typing import Any, Final

from autoinstrument.hooks.ports import RUNNING, Port, running_names, stack_of
from autoinstrument.records import UNTIMED, ScopeRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


def entered(kind: str, task: str, shield: str = "False") -> str:
    """Return code that records an entry; `task` is what the library calls the running task."""
    return f"""
try:
    asyncscope_task = port_scopes.last
    if asyncscope_task() is not {task}:
        asyncscope_task = port_scopes.last = port_live(port_id({task}))
{stack_of("port_scopes", task)}
    port_scopes.entered += 1
    asyncscope_scope = [
        port_id(self),
        {kind!r},
        port_scopes.entered,
        {UNTIMED} if port_scopes.outbox is None else port_now(),
        asyncscope_stack,
        {shield},
        None,
    ]
    if asyncscope_task.open_scopes is None:
        asyncscope_task.open_scopes = [asyncscope_scope]
    else:
        asyncscope_task.open_scopes.append(asyncscope_scope)
    asyncscope_stack = None
except Exception:
    port.entered(self, {kind!r}, {shield})
"""


def leaving(otherwise: str, task: str = RUNNING, *, waits: bool = False) -> str:
    """Return code that records the usual exit; `otherwise` is the call for any other one.

    A scope that `waits` for its tasks then is over later, of which its port tells; that is of no
    interest without exporters. No variable holds the task: the library's frame is part of it.
    Where branches meet right before a jump, the line that follows would be traced twice: hence no
    `if` stands inside another, and the last statement after them.
    """
    rest = f"    else:\n        {otherwise}\n" if waits else _NOW
    return f"""
try:
    asyncscope_task = port_scopes.last
    if asyncscope_task() is not {task}:
        asyncscope_task = port_live(port_id({task}))
    asyncscope_scope = asyncscope_task.open_scopes[-1]
    if asyncscope_scope[0] != port_id(self):
        {otherwise}
    elif asyncscope_scope[6] is None and port_scopes.outbox is None:
        asyncscope_task.open_scopes.pop()
        port_scopes.left += 1
{rest}    asyncscope_scope = None
except Exception:
    {otherwise}
"""


_NOW: Final = """    elif asyncscope_scope[6] is None:
        asyncscope_task.open_scopes.pop()
        port_scopes.left += 1
        port_scopes.outbox.append((asyncscope_scope, asyncscope_task, port_now()))
    else:
        asyncscope_task.open_scopes.pop()
        port_scopes.left += 1
        port.left(asyncscope_scope[6], exc_type)
"""


class ScopePort(Port):
    """What the ports of asyncio's and anyio's scopes share."""

    def __init__(
        self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the trackers' methods at hand."""
        super().__init__(failed)
        self.inline = {**running_names(tasks), "scopes": scopes}
        self._scopes = scopes
        self._tasks = tasks
        self._moments = moments

    def entered(self, scope: Any, kind: str, shield: bool) -> None:
        """A scope is entered by a task that is not known yet, or is none of asyncio's."""
        try:
            self._scopes.scope_entered(scope, kind, sys._getframe(2), None, shield)
        except Exception as exc:
            self.failed("entered", exc)

    def leaving(self, scope: Any, exc_type: Any) -> None:
        """A scope is left by another task or out of order, or its exit is about to be refused."""
        try:
            record = self._scopes.scope_left(scope, sys._getframe(2))
            if record is not None and record.expired_ns:
                self._tell(record, exc_type)
        except Exception as exc:
            self.failed("leaving", exc)

    def left(self, record: ScopeRecord, exc_type: Any) -> None:
        """A scope with a record is left in order."""
        try:
            self._scopes.was_left(record)
            if record.expired_ns:
                self._tell(record, exc_type)
        except Exception as exc:
            self.failed("left", exc)

    def _tell(self, record: ScopeRecord, exc_type: Any) -> None:
        """Tell that a scope is left whose deadline has expired."""
        self._moments.fire("timeout_left", record, exc_type is not None, self._tasks.current())


def announce(port: ScopePort, tasks: TaskTracker, owner: Any, name: str) -> None:
    """Note that woven code tells of the cancellations by a method, if it could be woven."""
    code = getattr(owner, name).__code__
    if port in code.co_consts:
        tasks.telling[id(code)] = code
