"""anyio's cancel scopes on the asyncio backend; task groups and deadlines are built on them.

Verified with anyio 4.6 to 4.16. anyio checks the exit itself and raises; the observation
comes before the check, so that a refused exit is seen as well.
"""

import sys
from asyncio import get_running_loop
from types import FrameType, ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker


class AnyioScopePort(Port):
    """Tells the scope tracker about anyio's cancel scopes."""

    part = "anyio scopes"

    def __init__(
        self, failed: Any, scopes: ScopeTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self._tasks = tasks
        self._moments = moments
        self._entered = scopes.scope_entered
        self._left = scopes.scope_left
        self._scopes = scopes

    def entered(self, scope: Any) -> None:
        """`CancelScope.__enter__` is about to return."""
        try:
            record = self._entered(scope, "anyio.CancelScope", sys._getframe(2))
            if scope._shield:
                record.shield = True
            if scope._cancel_called:
                self._cancelled_before(scope, sys._getframe(2))
        except Exception as exc:
            self.failed("entered", exc)

    def _cancelled_before(self, scope: Any, frame: FrameType) -> None:
        """Tell of a deadline that had passed at the entry, which cancels before we hear of it."""
        if get_running_loop().time() >= scope._deadline:
            self._scopes.deadline_expired(scope)
            self._scopes.cancel_requested(scope, frame, "deadline")

    def leaving(self, scope: Any, exc_type: Any) -> None:
        """`CancelScope.__exit__` begins."""
        try:
            frame = sys._getframe(2)
            record = self._left(scope, frame)
            if (
                record is not None
                and record.story is not None
                and record.expired_ns
                and frame.f_code.co_name in {"fail_after", "fail_at"}
            ):
                task = self._tasks.current()
                self._moments.fire("timeout_left", record, exc_type is not None, task)
        except Exception as exc:
            self.failed("leaving", exc)

    def cancelling(self, scope: Any) -> None:
        """`CancelScope.cancel` begins."""
        try:
            if not scope._cancel_called:
                frame = sys._getframe(2)
                expired = frame.f_code.co_name == "_timeout"
                if expired:
                    self._scopes.deadline_expired(scope)
                self._scopes.cancel_requested(scope, frame, "deadline" if expired else "scope")
        except Exception as exc:
            self.failed("cancelling", exc)

    def delivering(self, scope: Any, origin: Any) -> None:
        """A cancelled scope tries to deliver its cancellation, once each turn of the loop."""
        try:
            if scope is origin:
                self._scopes.delivered(scope)
        except Exception as exc:
            self.failed("delivering", exc)


def install(
    patches: Patches,
    module: ModuleType,
    trackers: tuple[ScopeTracker, TaskTracker],
    moments: Moments,
    failed: Any,
) -> None:
    """Hook the scopes of `anyio._backends._asyncio`."""
    scopes, tasks = trackers
    port = AnyioScopePort(failed, scopes, tasks, moments)
    scope = module.CancelScope
    name = "anyio scopes"
    patches.weave(name, scope, "__enter__", port, Edit("returns", "port.entered(self)"))
    patches.weave(name, scope, "__exit__", port, Edit("entry", "port.leaving(self, exc_type)"))
    patches.weave(name, scope, "cancel", port, Edit("entry", "port.cancelling(self)"))
    patches.weave(
        name,
        scope,
        "_deliver_cancellation",
        port,
        Edit("entry", "port.delivering(self, origin)"),
    )
