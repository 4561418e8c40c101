"""trio's cancel scopes; nurseries and anyio's scopes on trio are built on them.

Verified with trio 0.27 to 0.35.
"""

import sys
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import TaskRecord
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


class TrioScopePort(Port):
    """Tells the scope tracker about trio's cancel scopes."""

    part = "trio scopes"

    def __init__(self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, trio: Any) -> None:
        """Keep the trackers; `trio` is the module that knows the current task."""
        super().__init__(failed)
        self._scopes = scopes
        self._tasks = tasks
        self._trio = trio

    def _current(self) -> TaskRecord | None:
        try:
            task = self._trio.current_task()
        except RuntimeError:  # outside trio.run()
            return None
        return self._tasks.record_of(task)

    def entered(self, scope: Any) -> None:
        """`CancelScope.__enter__` is about to return."""
        try:
            owner = self._current()
            if owner is not None:
                self._scopes.scope_entered(scope, "trio.CancelScope", sys._getframe(2), owner)
        except Exception as exc:
            self.failed("entered", exc)

    def leaving(self, scope: Any) -> None:
        """`CancelScope._close` begins, called by `__exit__` or by a nursery."""
        try:
            task = self._current()
            if task is not None:
                self._scopes.scope_left(scope, sys._getframe(2), task)
        except Exception as exc:
            self.failed("leaving", exc)


def install(
    patches: Patches, module: ModuleType, scopes: ScopeTracker, tasks: TaskTracker, failed: Any
) -> None:
    """Hook the scopes of `trio._core._run`."""
    port = TrioScopePort(failed, scopes, tasks, module)
    scope = module.CancelScope
    patches.weave("trio scopes", scope, "__enter__", port, Edit("returns", "port.entered(self)"))
    patches.weave("trio scopes", scope, "_close", port, Edit("entry", "port.leaving(self)"))
