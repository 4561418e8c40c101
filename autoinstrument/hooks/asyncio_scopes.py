"""`asyncio.timeout` and `asyncio.TaskGroup`: entered and left, by which task."""

import sys
from asyncio.taskgroups import TaskGroup
from asyncio.timeouts import Timeout
from time import monotonic_ns
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.scope_edits import ScopePort, announce, entered, leaving
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import ScopeRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


class AsyncioScopePort(ScopePort):
    """Tells the scope tracker about asyncio's scopes."""

    part = "scopes"

    def __init__(
        self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Start without groups; `groups` are those that wait for their children, if told of."""
        super().__init__(failed, scopes, tasks, moments)
        self.groups: dict[int, ScopeRecord] = {}

    def expires(self, scope: Any, task: Any, frame: Any) -> None:
        """`Timeout._on_timeout` is about to cancel its task."""
        try:
            record = self._scopes.deadline_expired(scope, task)
            if record is None:
                self._tasks.cancel_requested(task, frame, "deadline")
            else:
                at = (frame.f_code, frame.f_lasti)
                self._tasks.cancelled_by(record, task, "deadline", at)
        except Exception as exc:
            self.failed("expires", exc)

    def group_leaving(self, scope: Any) -> None:
        """`TaskGroup.__aexit__` begins; it may wait for children yet."""
        try:
            record = self._scopes.scope_left(scope, sys._getframe(2))
            if record is not None:
                self.groups[id(scope)] = record
        except Exception as exc:
            self.failed("group_leaving", exc)

    def group_left(self, scope: Any) -> None:
        """`TaskGroup.__aexit__` ends: its children are over."""
        try:
            record = self.groups.pop(id(scope), None)
            if record is not None:
                record.left_ns = monotonic_ns()
        except Exception as exc:
            self.failed("group_left", exc)


def install(
    patches: Patches, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments, failed: Any
) -> None:
    """Hook the scopes of the standard library."""
    port = AsyncioScopePort(failed, scopes, tasks, moments)
    name = "scopes"
    patches.weave(
        name, Timeout, "__aenter__", port, Edit("returns", entered("asyncio.timeout", "task"))
    )
    patches.weave(
        name,
        Timeout,
        "__aexit__",
        port,
        Edit("entry", leaving("port.leaving(self, exc_type)")),
    )
    patches.weave(
        name,
        Timeout,
        "_on_timeout",
        port,
        Edit("before", "port.expires(self, self._task, port_frame(0))", "self._task.cancel()"),
    )
    announce(port, tasks, Timeout, "_on_timeout")
    patches.weave(
        name,
        TaskGroup,
        "__aenter__",
        port,
        Edit("returns", entered("asyncio.TaskGroup", "self._parent_task")),
    )
    patches.weave(
        name,
        TaskGroup,
        "__aexit__",
        port,
        Edit("leave", "if port.groups:\n    port.group_left(self)"),
        Edit("entry", leaving("port.group_leaving(self)", waits=True)),
    )
