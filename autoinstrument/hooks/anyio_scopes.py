"""anyio's cancel scopes on the asyncio backend; task groups and deadlines are built on them.

Verified with anyio 4.6 to 4.16. anyio checks the exit itself: who runs, and which scope is the
innermost. What it refuses is told before it raises, any other exit after the check. An entry is
told before the deadline is looked at, which may cancel at once. A deadline that has passed is told
where anyio sees it: `cancel`, which is called there, tells only of other cancellations.

Whoever takes a free lock, semaphore or limiter, or an item of a stream, passes through a shielded
scope of anyio's own for one turn of the loop. Nobody can cancel, leave or even see it: it is not
recorded.
"""

from textwrap import indent
from types import CodeType, ModuleType
from typing import Any, Final

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import told
from autoinstrument.hooks.scope_edits import ScopePort, announce, entered, leaving
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import ScopeRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker

_OTHERWISE: Final = "port.leaving(self, exc_type)"
_RAISE: Final = frozenset({"fail_after", "fail_at"})
_EXPIRED: Final = f"""
if not self._cancel_called:
    port_scopes.expiring = self
    if self._active:
{
    indent(
        told("cancel_requested", "self", "port_frame(0)", "'deadline'", "self._host_task"),
        "        ",
    )
}
    else:
{indent(told("expires_at_entry", "self", "self._host_task"), "        ")}
"""
_CANCELLED: Final = f"""
if port_scopes.expiring is not self:
{
    indent(
        told(
            "cancel_requested",
            "self",
            "port_frame(1)",
            "'scope'",
            "self._host_task",
            "not self._active",
        ),
        "    ",
    )
}
port_scopes.expiring = None
"""
_CANCELS: Final = told(
    "cancels",
    "origin",
    "origin._host_task",
    "task",
    "current",
    "None if current is None and port_scopes.delivers_at else port_frame(0)",
)
_DELIVERING: Final = """
port_scopes.unseen -= 1
if port_scopes.unseen <= 0:
    port.delivering(self)
"""


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

    def _tell(self, record: ScopeRecord, exc_type: Any) -> None:
        if record.flat_stack and record.flat_stack[0].co_name in _RAISE:
            super()._tell(record, exc_type)

    def delivering(self, scope: Any) -> None:
        """A cancelled scope will try again in the next turn of the loop."""
        try:
            self._scopes.delivering(scope, scope._host_task)
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
    port.tells("cancel_requested", scopes.cancel_requested)
    port.tells("expires_at_entry", scopes.expires_at_entry)
    port.tells("cancels", scopes.cancels)
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
    if patches.weave(name, scope, "_timeout", port, Edit("before", _EXPIRED, "self.cancel(")):
        patches.weave(
            name, scope, "cancel", port, Edit("before", _CANCELLED, "self._cancel_called = True")
        )
    patches.weave(
        name,
        scope,
        "_deliver_cancellation",
        port,
        Edit("before", _CANCELS, "task.cancel("),
        Edit("before", _DELIVERING, "self._cancel_handle = get_running_loop()"),
    )
    announce(port, tasks, scope, "_deliver_cancellation")
