"""Locks, semaphores, conditions, events, barriers and queues of asyncio: holders and waiters.

Verified with CPython 3.11 to 3.15. Of a calm lock (see `trackers/resources.py`) the woven code
itself keeps the holder, without a call; events and queues cost something only when a task waits.
"""

import sys
from asyncio.locks import Barrier, Condition, Event, Lock, Semaphore
from asyncio.mixins import _LoopBoundMixin
from asyncio.queues import Queue
from time import monotonic_ns
from typing import Any, Final

from autoinstrument.hooks.lock_edits import (
    PERMIT_RELEASED,
    TOLD,
    SynchronisationPort,
    got,
    indented,
    permit_got,
    wait_left,
    wait_over,
    waits,
)
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import RUNNING, told
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.outbox import SHORT_WAIT_NS
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.tasks import TaskTracker


def _calm(last: str) -> str:
    """Return code that finds the record of a calm lock, first of all the one taken last."""
    return f"""
    asyncscope_record = port_last.{last}
    if asyncscope_record() is not self:
        asyncscope_record = port_calm(port_id(self))
        if asyncscope_record is not None:
            port_last.{last} = asyncscope_record
"""


_LOCK_TAKEN: Final = f"""
try:{_calm("lock")}
    if asyncscope_record is None:
        port.taken(self, 'asyncio.Lock')
    elif asyncscope_record.owner() is {RUNNING}:
        asyncscope_record.acquired += 1
    elif (  # another task, in the same line: of its own function, or of one that this calls
        len(asyncscope_record.place) in (6, 8)
        and asyncscope_record.place[2] is port_entering
        and port_frame(2).f_lasti == asyncscope_record.place[5]
        and port_frame(2).f_code is asyncscope_record.place[4]
        and (
            len(asyncscope_record.place) == 6
            or port_frame(3).f_lasti == asyncscope_record.place[7]
            and port_frame(3).f_code is asyncscope_record.place[6]
        )
    ):
        asyncscope_record.owner = port_live(port_id({RUNNING}))
        asyncscope_record.owner.last_name or asyncscope_record.owner.remember_name()
        asyncscope_record.taken_ns = port_now()
        asyncscope_record.acquired = asyncscope_record.placed = asyncscope_record.acquired + 1
    else:
        port.taken(self, 'asyncio.Lock')
    asyncscope_record = None  # after an `if`, 3.11 would trace the line that follows twice
except Exception:
{indented(told("taken", "self", "'asyncio.Lock'"))}
"""
_LOCK_GIVEN: Final = f"""
if port.lively and port_last.lock() is not self:
    asyncscope_record = port_last.lively
    if asyncscope_record() is not self:
        asyncscope_record = port_taken(port_id(self))
    if asyncscope_record is not None:
        try:
            asyncscope_plain = (
                asyncscope_record.waiting
                and asyncscope_record.owner() is {RUNNING}
                and (
                    port.resources.held is None
                    or port_now() - asyncscope_record.taken_ns < {SHORT_WAIT_NS}
                )
            )
        except Exception:
            asyncscope_plain = False
        if asyncscope_plain:
            asyncscope_record.handovers += 1
            asyncscope_record.owner = None
        elif self._locked:
{indented(told("given_back", "self"), 3)}
"""
_PERMIT_TAKEN: Final = f"""
try:{_calm("semaphore")}
    if asyncscope_record is None or asyncscope_record.taker() is not {RUNNING}:
        port.permit_got(self, port_frame(1), 'asyncio.Semaphore', self._value + 1)
    else:
        asyncscope_record.again += 1
        asyncscope_record.acquired += 1
except Exception:
{indented(permit_got("asyncio.Semaphore"))}
"""
_PERMIT_GIVEN: Final = f"""
try:{_calm("semaphore")}
    if (
        asyncscope_record is not None
        and asyncscope_record.again
        and asyncscope_record.taker() is {RUNNING}
    ):
        asyncscope_record.again -= 1
    else:
        port.permit_released(self, port_frame(1))
except Exception:
{indented(PERMIT_RELEASED)}
"""
_ITEM_TAKEN: Final = f"""
try:
    asyncscope_record = port_last.lively
    if asyncscope_record() is not self:
        asyncscope_record = port_locks(port_id(self))
    asyncscope_known = asyncscope_record.taker() is {RUNNING}
    asyncscope_record = None
except Exception:
    asyncscope_known = False
if not asyncscope_known:
{indented(told("item_taken", "self"))}
"""


class LockPort(SynchronisationPort):
    """Tells the resource tracker about asyncio's synchronisation objects."""

    part = "locks"

    def __init__(
        self, failed: Any, resources: ResourceTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed, resources, tasks)
        self.inline |= {
            "taken": resources.lively.get,
            "calm": resources.calm.get,
            "last": resources.last,
            "now": monotonic_ns,
            "entering": Lock.__aenter__.__code__,
        }
        self.lively = resources.lively
        self.tells("taken", resources.taken)
        self.tells("got", resources.got)
        self._wait_started = resources.wait_started
        self._wait_ended = resources.wait_ended
        self._moments = moments
        self.tells("item_taken", resources.consumed)

    def at_barrier(self, barrier: Any) -> None:
        """The running task is about to wait for the other parties."""
        try:
            self._wait_started(barrier, "wait", sys._getframe(2), "asyncio.Barrier", 0)
        except Exception as exc:
            self.failed("at_barrier", exc)

    def before_barrier(self, barrier: Any) -> None:
        """The running task waits if the parties of the last turn have not all left."""
        try:
            if barrier._state.name in {"DRAINING", "RESETTING"}:
                self._wait_started(barrier, "wait", sys._getframe(2), "asyncio.Barrier", 0)
        except Exception as exc:
            self.failed("before_barrier", exc)

    def past_barrier(self, barrier: Any) -> None:
        """The running task waits no more."""
        try:
            self._wait_ended(barrier)
        except Exception as exc:
            self.failed("past_barrier", exc)

    def left_barrier(self, barrier: Any) -> None:
        """The function is left: a wait that did not end before is broken off."""
        try:
            self._wait_ended(barrier, resolved=False)
        except Exception as exc:
            self.failed("left_barrier", exc)

    def other_loop(self, thing: Any) -> None:
        """An object that is bound to another loop is about to raise."""
        try:
            self._moments.fire("loop_mismatch", thing, sys._getframe(2))
        except Exception as exc:
            self.failed("other_loop", exc)


def install(
    patches: Patches, resources: ResourceTracker, tasks: TaskTracker, moments: Moments, failed: Any
) -> None:
    """Hook the synchronisation objects of the standard library."""
    port = LockPort(failed, resources, tasks, moments)
    fut = "fut = self._get_loop()"
    removed = "self._waiters.remove(fut)"
    patches.weave(
        "locks",
        Lock,
        "acquire",
        port,
        Edit("begins", _LOCK_TAKEN, "if not self._locked and"),
        Edit("after", waits("acquire", "asyncio.Lock", 1, "owner"), fut),
        Edit("after", TOLD + got("asyncio.Lock"), "await fut"),
        Edit("after", wait_left("fut"), removed),
    )
    patches.weave("locks", Lock, "release", port, Edit("entry", _LOCK_GIVEN))
    patches.weave(
        "semaphores",
        Semaphore,
        "acquire",
        port,
        Edit("returns", _PERMIT_TAKEN),
        Edit("after", waits("acquire", "asyncio.Semaphore", 0, "known_holds[0].owner"), fut),
        Edit("after", TOLD + wait_over("acquire", "fut"), "await fut"),
        Edit("after", wait_left("fut"), removed),
    )
    patches.weave("semaphores", Semaphore, "release", port, Edit("entry", _PERMIT_GIVEN))
    for holder, kind in ((Event, "asyncio.Event"), (Condition, "asyncio.Condition")):
        patches.weave(
            "waits",
            holder,
            "wait",
            port,
            Edit("after", waits("wait", kind), fut),
            Edit("after", TOLD + wait_over("wait", "fut"), "await fut"),
            Edit("after", wait_left("fut"), removed),
        )
    _barriers(patches, port)
    _queues(patches, port)
    patches.weave(
        "loop binding",
        _LoopBoundMixin,
        "_get_loop",
        port,
        Edit("before", "port.other_loop(self)", "raise RuntimeError"),
    )


def _queues(patches: Patches, port: LockPort) -> None:
    for name, future in (("get", "getter"), ("put", "putter")):
        patches.weave(
            "queues",
            Queue,
            name,
            port,
            Edit("after", waits(name, "asyncio.Queue"), f"{future} = self._get_loop()"),
            Edit("after", wait_over(name, future), f"await {future}"),
            Edit("before", told("wait_over", "self", future), f"{future}.cancel()"),
            *([Edit("returns", _ITEM_TAKEN)] if name == "get" else []),
        )


def _barriers(patches: Patches, port: LockPort) -> None:
    waits = "await self._cond.wait_for("
    for name, begins in (("_wait", "at_barrier"), ("_block", "before_barrier")):
        patches.weave(
            "barriers",
            Barrier,
            name,
            port,
            Edit("before", f"port.{begins}(self)", waits),
            Edit("after", "port.past_barrier(self)", waits),
            Edit("leave", "port.left_barrier(self)"),
        )
