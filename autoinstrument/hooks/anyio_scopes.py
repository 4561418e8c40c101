"""anyio's cancel scopes on the asyncio backend; task groups and deadlines are built on them.

Verified with anyio 4.6 to 4.16. anyio checks the exit itself: who runs, and which scope is the
innermost. What it refuses is told before it raises, any other exit after the check. An entry is
told before the deadline is looked at, which may cancel at once.

Whoever takes a free lock, semaphore or limiter, or an item of a stream, passes through a shielded
scope of anyio's own for one turn of the loop. Nobody can cancel, leave or even see it: it is not
recorded.
"""

import sys
from textwrap import indent
from types import CodeType, ModuleType
from typing import Any, Final

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.scope_edits import ScopePort, announce, entered, leaving
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker

_OTHERWISE: Final = "port.leaving(self, exc_type)"


def _unless_checkpoint(code: str) -> str:
    """Return code for all scopes but that of `cancel_shielded_checkpoint()`."""
    return f"""
if not self._shield or port_frame(1).f_code is not port.checkpoint:
{indent(code, "    ")}
"""


class AnyioScopePort(ScopePort):
    """Tells the scope tracker about anyio's cancel scopes."""

    part = "anyio scopes"
    checkpoint: CodeType | None = None  # whose scopes are not recorded

    def leaving(self, scope: Any, exc_type: Any) -> None:
        """A scope is left in an unusual way, or anyio is about to refuse its exit."""
        try:
            frame = sys._getframe(2)
            record = self._scopes.scope_left(scope, frame)
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
                via = "deadline" if frame.f_code.co_name == "_timeout" else "scope"
                self._scopes.cancel_requested(scope, frame, via, scope._host_task)
        except Exception as exc:
            self.failed("cancelling", exc)

    def delivering(self, scope: Any) -> None:
        """A cancelled scope will try again in the next turn of the loop."""
        try:
            self._scopes.delivered(scope, scope._host_task)
        except Exception as exc:
            self.failed("delivering", exc)

    def cancels(self, task: Any, origin: Any) -> None:
        """A cancelled scope, `origin`, is about to cancel a task."""
        try:
            scope = self._scopes.find(origin, origin._host_task)
            self._tasks.cancel_requested(task, sys._getframe(1), "scope", scope)
        except Exception as exc:
            self.failed("cancels", exc)


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
    checkpoint = vars(module.AsyncIOBackend).get("cancel_shielded_checkpoint")
    port.checkpoint = getattr(getattr(checkpoint, "__func__", None), "__code__", None)
    entry = entered("anyio.CancelScope", "host_task", "self._shield")
    leave = leaving(_OTHERWISE, "self._host_task")
    patches.weave(
        name,
        scope,
        "__enter__",
        port,
        Edit("before", _unless_checkpoint(entry), "self._timeout()"),
    )
    patches.weave(
        name,
        scope,
        "__exit__",
        port,
        Edit("before", _OTHERWISE, "raise RuntimeError("),
        # anyio has made sure that its own task runs
        Edit("after", _unless_checkpoint(leave), "self._active = False"),
    )
    patches.weave(name, scope, "cancel", port, Edit("entry", "port.cancelling(self)"))
    patches.weave(
        name,
        scope,
        "_deliver_cancellation",
        port,
        Edit("before", "port.cancels(task, origin)", "task.cancel("),
        Edit("before", "port.delivering(self)", "self._cancel_handle = get_running_loop()"),
    )
    announce(port, tasks, scope, "_deliver_cancellation")
