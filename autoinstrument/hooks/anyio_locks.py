"""anyio's Lock, Semaphore, Condition and Event on the asyncio backend.

anyio locks know their owner; what is added here is where they were taken and who waits.
Versions that build these classes on other code are left alone, as is the lock's acquisition of
4.6.0. Verified with anyio 4.6.2 to 4.16. An event waits through `asyncio.Event` and is seen there.
"""

import sys
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.resources import ResourceTracker


class AnyioLockPort(Port):
    """Tells the resource tracker about anyio's synchronisation objects."""

    part = "anyio locks"

    def __init__(self, failed: Any, resources: ResourceTracker, moments: Moments) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self._resources = resources
        self._moments = moments

    def held(self, lock: Any) -> None:
        """The running task owns a lock now."""
        try:
            self._resources.acquired_by(lock, sys._getframe(2), "anyio.Lock")
        except Exception as exc:
            self.failed("held", exc)

    def refused(self, lock: Any) -> None:
        """A lock refuses to be taken by the task that has it, and is about to raise."""
        try:
            self._resources.wait_started(lock, "acquire", sys._getframe(2), "anyio.Lock")
            self._resources.wait_ended(lock, resolved=False)
        except Exception as exc:
            self.failed("refused", exc)

    def released(self, lock: Any) -> None:
        """`release()` begins; it raises for everybody but the owner."""
        try:
            self._resources.released_by(lock, sys._getframe(2))
        except Exception as exc:
            self.failed("released", exc)

    def permit_got(self, semaphore: Any) -> None:
        """The running task has a permit now."""
        try:
            self._resources.acquired_by(
                semaphore, sys._getframe(2), "anyio.Semaphore", semaphore._value + 1
            )
        except Exception as exc:
            self.failed("permit_got", exc)

    def waiting(self, thing: Any, kind: str) -> None:
        """The running task is about to wait."""
        try:
            op = "wait" if kind == "anyio.Condition" else "acquire"
            permits = 1 if kind == "anyio.Lock" else 0
            self._resources.wait_started(thing, op, sys._getframe(2), kind, permits)
        except Exception as exc:
            self.failed("waiting", exc)

    def waited(self, thing: Any, future: Any) -> None:
        """The running task waits no more."""
        try:
            self._resources.wait_ended(thing, resolved=future.done() and not future.cancelled())
        except Exception as exc:
            self.failed("waited", exc)

    def notified(self, condition: Any, event: Any) -> None:
        """The running task waits for a condition no more, and takes the lock again."""
        try:
            self._resources.wait_ended(condition, resolved=event.is_set())
        except Exception as exc:
            self.failed("notified", exc)


def install(
    patches: Patches, module: ModuleType, resources: ResourceTracker, moments: Moments, failed: Any
) -> None:
    """Hook the locks of `anyio._backends._asyncio`, where they are classes of that module."""
    port = AnyioLockPort(failed, resources, moments)
    _conditions(patches, sys.modules.get("anyio._core._synchronization"), port)
    lock = getattr(module, "Lock", None)
    if lock is None or "acquire" not in vars(lock):
        patches.off("anyio locks", "anyio.Lock", "built in another way in this version")
        return
    patches.weave(
        "anyio locks",
        lock,
        "acquire",
        port,
        Edit("after", "port.held(self)", "self._owner_task = task"),
        Edit("before", "port.refused(self)", "raise RuntimeError('Attempted to acquire"),
        Edit("before", "port.waiting(self, 'anyio.Lock')", "fut: asyncio.Future[None] ="),
        Edit("after", "port.waited(self, fut)\nport.held(self)", "await fut"),
        Edit("before", "port.waited(self, fut)", "self._waiters.remove(item)"),
    )
    patches.weave(
        "anyio locks",
        lock,
        "acquire_nowait",
        port,
        Edit("after", "port.held(self)", "self._owner_task = task"),
    )
    patches.weave("anyio locks", lock, "release", port, Edit("entry", "port.released(self)"))
    _semaphores(patches, module, port)


def _semaphores(patches: Patches, module: ModuleType, port: AnyioLockPort) -> None:
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "acquire",
        port,
        Edit("after", "port.permit_got(self)", "self._value -= 1"),
        Edit("before", "port.waiting(self, 'anyio.Semaphore')", "fut: asyncio.Future[None] ="),
        Edit("before", "port.waited(self, fut)", "try:\n    self._waiters.remove(fut)"),
        Edit("after", "port.waited(self, fut)\nport.permit_got(self)", "await fut"),
    )
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "acquire_nowait",
        port,
        Edit("after", "port.permit_got(self)", "self._value -= 1"),
    )
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "release",
        port,
        Edit("entry", "port.released(self)"),
    )


def _conditions(patches: Patches, module: ModuleType | None, port: AnyioLockPort) -> None:
    condition = getattr(module, "Condition", None)
    if condition is None:
        patches.off("anyio conditions", "anyio.Condition", "built in another way in this version")
        return
    patches.weave(
        "anyio conditions",
        condition,
        "wait",
        port,
        Edit("after", "port.waiting(self, 'anyio.Condition')", "self.release()"),
        Edit("before", "port.notified(self, event)", "with CancelScope(shield=True)"),
    )
