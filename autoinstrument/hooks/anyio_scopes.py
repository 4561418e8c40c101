"""anyio's cancel scopes on the asyncio backend; task groups and deadlines are built on them.

Verified with anyio 4.6 to 4.16. anyio checks the exit itself and raises; the observation
comes before the check, so that a refused exit is seen as well.
"""

import sys
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.scopes import ScopeTracker


class AnyioScopePort(Port):
    """Tells the scope tracker about anyio's cancel scopes."""

    part = "anyio scopes"

    def __init__(self, failed: Any, scopes: ScopeTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self._entered = scopes.scope_entered
        self._left = scopes.scope_left
        self._scopes = scopes

    def entered(self, scope: Any) -> None:
        """`CancelScope.__enter__` is about to return."""
        try:
            self._entered(scope, "anyio.CancelScope", sys._getframe(2)).shield = scope._shield
        except Exception as exc:
            self.failed("entered", exc)

    def leaving(self, scope: Any) -> None:
        """`CancelScope.__exit__` begins."""
        try:
            self._left(scope, sys._getframe(2))
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


def install(patches: Patches, module: ModuleType, scopes: ScopeTracker, failed: Any) -> None:
    """Hook the scopes of `anyio._backends._asyncio`."""
    port = AnyioScopePort(failed, scopes)
    scope = module.CancelScope
    name = "anyio scopes"
    patches.weave(name, scope, "__enter__", port, Edit("returns", "port.entered(self)"))
    patches.weave(name, scope, "__exit__", port, Edit("entry", "port.leaving(self)"))
    patches.weave(name, scope, "cancel", port, Edit("entry", "port.cancelling(self)"))
    patches.weave(
        name,
        scope,
        "_deliver_cancellation",
        port,
        Edit("entry", "port.delivering(self, origin)"),
    )
