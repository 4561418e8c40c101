"""anyio's Lock, Semaphore, Condition and Event on the asyncio backend.

anyio locks know their owner; what is added here is where they were taken and who waits.
Versions that build these classes on other code are left alone, as is the lock's acquisition of
4.6.0. Verified with anyio 4.6.2 to 4.16. An event waits through `asyncio.Event` and is seen there.
"""

import sys
from types import ModuleType
from typing import Any, Final

from autoinstrument.hooks.lock_edits import (
    PERMIT_RELEASED,
    SynchronisationPort,
    indented,
    permit_got,
    wait_over,
    waits,
)
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import RUNNING, told
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.tasks import TaskTracker

_LOCK: Final = "anyio.Lock"
_SEMAPHORE: Final = "anyio.Semaphore"
_FUTURE: Final = "fut: asyncio.Future[None] ="
# The same task takes it in the same line as the last time; `async with` calls acquire() in one
# line, so that the frame of __aenter__() need not be looked at.
_OWNED: Final = f"""
asyncscope_record = port_last.owned
try:
    if asyncscope_record() is not self:
        asyncscope_record = port_last.owned = port_locks(port_id(self))
    asyncscope_place, asyncscope_frame = asyncscope_record.place, port_frame(2)
    if (
        asyncscope_record.owner is not None
        and asyncscope_record.owner() is task
        and len(asyncscope_place) > 2
        and asyncscope_frame.f_lasti == asyncscope_place[3]
        and asyncscope_frame.f_code is asyncscope_place[2]
        and (
            asyncscope_place[0] is port_entering
            or port_frame(1).f_lasti == asyncscope_place[1]
            and port_frame(1).f_code is asyncscope_place[0]
        )
        and (
            len(asyncscope_place) < 6
            or port_frame(3).f_lasti == asyncscope_place[5]
            and port_frame(3).f_code is asyncscope_place[4]
        )
        and (
            len(asyncscope_place) < 8
            or port_frame(4).f_lasti == asyncscope_place[7]
            and port_frame(4).f_code is asyncscope_place[6]
        )
    ):
        asyncscope_record.taken_ns = port_now()
        asyncscope_record.acquired = asyncscope_record.placed = asyncscope_record.acquired + 1
    else:
        port.owned(self, task, {_LOCK!r})
except Exception:
{indented(told("owned", "self", "task", repr(_LOCK)))}
asyncscope_record = asyncscope_place = asyncscope_frame = None
del asyncscope_record, asyncscope_place, asyncscope_frame
"""
_GIVEN_TO_OTHERS: Final = "if self._waiters:\n" + indented(told("given_back", "self"))
_LEFT: Final = told("wait_over", "self", "fut")
_WAIT_LEFT: Final = """
try:
    port.wait_over(self, fut)
except NameError:  # it has not waited
    pass
except Exception as asyncscope_error:
    port.failed('wait_over', asyncscope_error)
"""


class AnyioLockPort(SynchronisationPort):
    """Tells the resource tracker about anyio's synchronisation objects."""

    part = "anyio locks"

    def __init__(
        self, failed: Any, resources: ResourceTracker, tasks: TaskTracker, entering: Any
    ) -> None:
        """Keep the tracker's methods at hand, and the code of a lock's `__aenter__`."""
        super().__init__(failed, resources, tasks)
        self.tells("owned", resources.owned)
        self.inline["entering"] = entering

    def refused(self, lock: Any) -> None:
        """A lock refuses to be taken by the task that has it, and is about to raise."""
        try:
            self.resources.wait_started(lock, "acquire", sys._getframe(2), _LOCK)
            self.resources.wait_ended(lock, resolved=False)
        except Exception as exc:
            self.failed("refused", exc)

    def kept(self, lock: Any) -> None:
        """A lock refuses to be released by a task that has it not, and is about to raise."""
        try:
            self.resources.given_back_by_other(lock, sys._getframe(2))
        except Exception as exc:
            self.failed("kept", exc)

    def waiting_for(self, condition: Any) -> None:
        """The running task is about to wait for a condition."""
        try:
            self.resources.wait_started(condition, "wait", sys._getframe(2), "anyio.Condition", 0)
        except Exception as exc:
            self.failed("waiting_for", exc)

    def notified(self, condition: Any, event: Any) -> None:
        """The running task waits for a condition no more, and takes the lock again."""
        try:
            self.resources.wait_ended(condition, resolved=event.is_set())
        except Exception as exc:
            self.failed("notified", exc)


def install(
    patches: Patches,
    module: ModuleType,
    resources: ResourceTracker,
    tasks: TaskTracker,
    failed: Any,
) -> None:
    """Hook the locks of `anyio._backends._asyncio`, where they are classes of that module."""
    lock = getattr(module, "Lock", None)
    entering = getattr(getattr(lock, "__aenter__", None), "__code__", None)
    port = AnyioLockPort(failed, resources, tasks, entering)
    _conditions(patches, sys.modules.get("anyio._core._synchronization"), port)
    if lock is None or "acquire" not in vars(lock):
        patches.off("anyio locks", "anyio.Lock", "built in another way in this version")
        return
    at_once = Edit("after", _OWNED, "self._owner_task = task")
    patches.weave(
        "anyio locks",
        lock,
        "acquire",
        port,
        at_once,
        Edit("before", "port.refused(self)", "raise RuntimeError('Attempted to acquire"),
        Edit("after", waits("acquire", _LOCK, 1, "owner", RUNNING), _FUTURE),
        Edit("after", wait_over("acquire", "fut", RUNNING) + _OWNED, "await fut"),
        Edit("before", _LEFT, "self._waiters.remove(item)"),
        Edit("before", _WAIT_LEFT, "raise"),  # cancelled when the lock was its own already
    )
    patches.weave("anyio locks", lock, "acquire_nowait", port, at_once)
    patches.weave(
        "anyio locks",
        lock,
        "release",
        port,
        Edit("before", "port.kept(self)", "raise RuntimeError("),
        Edit("after", _GIVEN_TO_OTHERS, "if self._owner_task !="),
    )
    _semaphores(patches, module, port)


def _semaphores(patches: Patches, module: ModuleType, port: AnyioLockPort) -> None:
    taken = permit_got(_SEMAPHORE)
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "acquire",
        port,
        Edit("after", taken, "self._value -= 1"),
        Edit("after", waits("acquire", _SEMAPHORE, 0, "known_holds[0].owner", RUNNING), _FUTURE),
        Edit("before", _LEFT, "try:\n    self._waiters.remove(fut)"),
        Edit("after", wait_over("acquire", "fut", RUNNING) + taken, "await fut"),
    )
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "acquire_nowait",
        port,
        Edit("after", taken, "self._value -= 1"),
    )
    patches.weave(
        "anyio semaphores",
        module.Semaphore,
        "release",
        port,
        Edit("entry", PERMIT_RELEASED),
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
        Edit("after", "port.waiting_for(self)", "self.release()"),
        Edit("before", "port.notified(self, event)", "with CancelScope(shield=True)"),
    )
