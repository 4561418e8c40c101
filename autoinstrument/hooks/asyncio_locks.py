"""Locks, semaphores, conditions, events, barriers and queues of asyncio: holders and waiters.

Verified with CPython 3.11 to 3.15. Of a calm lock (see `trackers/resources.py`) the woven code
itself keeps the holder, without a call; events and queues cost something only when a task waits.
"""

import asyncio
import asyncio.tasks
import sys
from asyncio.locks import Barrier, Condition, Event, Lock, Semaphore
from asyncio.mixins import _LoopBoundMixin
from asyncio.queues import Queue
from typing import Any, Final

from autoinstrument import env
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.tasks import TaskTracker

# the running task; current_task() of 3.11 is a Python function, so its table is asked itself
_RUNNING: Final = "port_running()" if env.HAS_MONITORING else "port_running(port_loop())"

_LOCK_TAKEN: Final = f"""
try:
    asyncscope_record = port_calm(port_id(self))
    if asyncscope_record is None:
        port.held(self)
    else:
        asyncscope_record.acquired += 1
        if asyncscope_record.owner() is not {_RUNNING}:
            asyncscope_record.owner = port_live(port_id({_RUNNING}))
except Exception:
    port.held(self)
"""
_LOCK_GIVEN: Final = """
if port.lively and port_id(self) in port.lively:
    port.released(self)
"""
_PERMIT_TAKEN: Final = f"""
try:
    asyncscope_record = port_calm(port_id(self))
    if asyncscope_record is None:
        port.permit_got(self)
    else:
        asyncscope_record.acquired += 1
        asyncscope_record.takers.append(port_live(port_id({_RUNNING})))
except Exception:
    port.permit_got(self)
"""
_PERMIT_GIVEN: Final = f"""
try:
    asyncscope_record = port_calm(port_id(self))
    if asyncscope_record is not None and asyncscope_record.takers[-1]() is {_RUNNING}:
        asyncscope_record.takers.pop()
    else:
        port.permit_released(self)
except Exception:
    port.permit_released(self)
"""


class LockPort(Port):
    """Tells the resource tracker about asyncio's synchronisation objects."""

    part = "locks"

    def __init__(
        self, failed: Any, resources: ResourceTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self.inline = {
            "id": id,
            "calm": resources.calm.get,
            "live": tasks.live.__getitem__,
            "running": asyncio.current_task
            if env.HAS_MONITORING
            else vars(asyncio.tasks)["_current_tasks"].get,
            "loop": asyncio._get_running_loop,
        }
        self.lively = resources.lively
        self._acquired = resources.acquired_by
        self._released = resources.released_by
        self._wait_started = resources.wait_started
        self._wait_ended = resources.wait_ended
        self._resources = resources
        self._moments = moments

    def held(self, lock: Any) -> None:
        """The running task has a lock now."""
        try:
            self._acquired(lock, sys._getframe(2), "asyncio.Lock")
        except Exception as exc:
            self.failed("held", exc)

    def released(self, lock: Any) -> None:
        """`release()` begins; an unlocked lock raises in it."""
        try:
            if lock._locked:
                self._released(lock, sys._getframe(2))
        except Exception as exc:
            self.failed("released", exc)

    def permit_got(self, semaphore: Any) -> None:
        """The running task has a permit now."""
        try:
            self._acquired(semaphore, sys._getframe(2), "asyncio.Semaphore", semaphore._value + 1)
        except Exception as exc:
            self.failed("permit_got", exc)

    def permit_released(self, semaphore: Any) -> None:
        """A permit is given back, or made."""
        try:
            self._released(semaphore, sys._getframe(2))
        except Exception as exc:
            self.failed("permit_released", exc)

    def waiting(self, thing: Any, op: str, kind: str) -> None:
        """The running task is about to wait."""
        try:
            self._wait_started(
                thing, op, sys._getframe(2), kind, 0 if kind != "asyncio.Lock" else 1
            )
        except Exception as exc:
            self.failed("waiting", exc)

    def waited(self, thing: Any, future: Any) -> None:
        """The running task waits no more; `future` tells whether it got what it wanted."""
        try:
            self._wait_ended(thing, resolved=future.done() and not future.cancelled())
        except Exception as exc:
            self.failed("waited", exc)

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

    def taken(self, queue: Any) -> None:
        """The running task is about to take an item out of a queue."""
        try:
            self._resources.consumed(queue)
        except Exception as exc:
            self.failed("taken", exc)

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
    patches.weave(
        "locks",
        Lock,
        "acquire",
        port,
        Edit("after", _LOCK_TAKEN, "self._locked = True"),
        Edit("before", "port.waiting(self, 'acquire', 'asyncio.Lock')", "fut = self._get_loop()"),
        Edit("after", "port.waited(self, fut)", "self._waiters.remove(fut)"),
    )
    patches.weave("locks", Lock, "release", port, Edit("entry", _LOCK_GIVEN))
    patches.weave(
        "semaphores",
        Semaphore,
        "acquire",
        port,
        Edit("returns", _PERMIT_TAKEN),
        Edit(
            "before", "port.waiting(self, 'acquire', 'asyncio.Semaphore')", "fut = self._get_loop()"
        ),
        Edit("after", "port.waited(self, fut)", "self._waiters.remove(fut)"),
    )
    patches.weave("semaphores", Semaphore, "release", port, Edit("entry", _PERMIT_GIVEN))
    _waits(patches, port)
    patches.weave(
        "loop binding",
        _LoopBoundMixin,
        "_get_loop",
        port,
        Edit("before", "port.other_loop(self)", "raise RuntimeError"),
    )


def _waits(patches: Patches, port: LockPort) -> None:
    for holder, kind in ((Event, "asyncio.Event"), (Condition, "asyncio.Condition")):
        patches.weave(
            "waits",
            holder,
            "wait",
            port,
            Edit("before", f"port.waiting(self, 'wait', {kind!r})", "fut = self._get_loop()"),
            Edit("after", "port.waited(self, fut)", "self._waiters.remove(fut)"),
        )
    _barriers(patches, port)
    patches.weave(
        "queues",
        Queue,
        "get",
        port,
        Edit("before", "port.waiting(self, 'get', 'asyncio.Queue')", "getter = self._get_loop()"),
        Edit("after", "port.waited(self, getter)", "await getter"),
        Edit("before", "port.waited(self, getter)", "getter.cancel()"),
        Edit("returns", "port.taken(self)"),
    )
    patches.weave(
        "queues",
        Queue,
        "put",
        port,
        Edit("before", "port.waiting(self, 'put', 'asyncio.Queue')", "putter = self._get_loop()"),
        Edit("after", "port.waited(self, putter)", "await putter"),
        Edit("before", "port.waited(self, putter)", "putter.cancel()"),
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
