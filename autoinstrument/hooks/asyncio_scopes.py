"""`asyncio.timeout` and `asyncio.TaskGroup`: entered and left, by which task."""

import sys
from asyncio.taskgroups import TaskGroup
from asyncio.timeouts import Timeout
from time import monotonic_ns
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import ScopeRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


class ScopePort(Port):
    """Tells the scope tracker about asyncio's scopes."""

    part = "scopes"

    def __init__(
        self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the trackers' methods at hand."""
        super().__init__(failed)
        self._scopes = scopes
        self._leaving: dict[int, ScopeRecord] = {}
        self._scope_entered = scopes.scope_entered
        self._scope_left = scopes.scope_left
        self._tasks = tasks
        self._moments = moments

    def timeout_entered(self, scope: Any) -> None:
        """`Timeout.__aenter__` is about to return."""
        try:
            self._scope_entered(scope, "asyncio.timeout", sys._getframe(2))
        except Exception as exc:
            self.failed("timeout_entered", exc)

    def timeout_leaving(self, scope: Any, exc_type: Any) -> None:
        """`Timeout.__aexit__` begins."""
        try:
            record = self._scope_left(scope, sys._getframe(2))
            if record is not None and record.story is not None and record.expired_ns:
                self._moments.fire(
                    "timeout_left", record, exc_type is not None, self._tasks.current()
                )
        except Exception as exc:
            self.failed("timeout_leaving", exc)

    def group_entered(self, scope: Any) -> None:
        """`TaskGroup.__aenter__` is about to return."""
        try:
            self._scope_entered(scope, "asyncio.TaskGroup", sys._getframe(2))
        except Exception as exc:
            self.failed("group_entered", exc)

    def group_leaving(self, scope: Any) -> None:
        """`TaskGroup.__aexit__` begins; it may wait for children yet."""
        try:
            record = self._scope_left(scope, sys._getframe(2))
            if record is not None and record.left_ns:
                self._leaving[id(scope)] = record
        except Exception as exc:
            self.failed("group_leaving", exc)

    def group_left(self, scope: Any) -> None:
        """`TaskGroup.__aexit__` ends: its children are over."""
        try:
            record = self._leaving.pop(id(scope), None)
            if record is not None:
                record.left_ns = monotonic_ns()
        except Exception as exc:
            self.failed("group_left", exc)


def install(
    patches: Patches, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments, failed: Any
) -> None:
    """Hook the scopes of the standard library."""
    port = ScopePort(failed, scopes, tasks, moments)
    name = "scopes"
    patches.weave(name, Timeout, "__aenter__", port, Edit("returns", "port.timeout_entered(self)"))
    patches.weave(
        name, Timeout, "__aexit__", port, Edit("entry", "port.timeout_leaving(self, exc_type)")
    )
    patches.weave(name, TaskGroup, "__aenter__", port, Edit("returns", "port.group_entered(self)"))
    patches.weave(
        name,
        TaskGroup,
        "__aexit__",
        port,
        Edit("leave", "port.group_left(self)"),
        Edit("entry", "port.group_leaving(self)"),
    )
