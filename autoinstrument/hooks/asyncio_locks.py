"""Locks, semaphores, conditions, events and queues of asyncio: holders and waiters.

Verified with CPython 3.11 to 3.15. An uncontended `Lock` costs two calls into its port;
events and queues cost something only when a task waits.
"""

import sys
from asyncio.locks import Condition, Event, Lock, Semaphore
from asyncio.mixins import _LoopBoundMixin
from asyncio.queues import Queue
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.resources import ResourceTracker


class LockPort(Port):
    """Tells the resource tracker about asyncio's synchronisation objects."""

    part = "locks"

    def __init__(self, failed: Any, resources: ResourceTracker, moments: Moments) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
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


def install(patches: Patches, resources: ResourceTracker, moments: Moments, failed: Any) -> None:
    """Hook the synchronisation objects of the standard library."""
    port = LockPort(failed, resources, moments)
    patches.weave(
        "locks",
        Lock,
        "acquire",
        port,
        Edit("after", "port.held(self)", "self._locked = True"),
        Edit("before", "port.waiting(self, 'acquire', 'asyncio.Lock')", "fut = self._get_loop()"),
        Edit("after", "port.waited(self, fut)", "self._waiters.remove(fut)"),
    )
    patches.weave("locks", Lock, "release", port, Edit("entry", "port.released(self)"))
    patches.weave(
        "semaphores",
        Semaphore,
        "acquire",
        port,
        Edit("returns", "port.permit_got(self)"),
        Edit(
            "before", "port.waiting(self, 'acquire', 'asyncio.Semaphore')", "fut = self._get_loop()"
        ),
        Edit("after", "port.waited(self, fut)", "self._waiters.remove(fut)"),
    )
    patches.weave(
        "semaphores", Semaphore, "release", port, Edit("entry", "port.permit_released(self)")
    )
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
