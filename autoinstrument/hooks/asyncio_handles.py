"""`task.cancel` handed to the loop: `call_later(1, task.cancel)` and the like.

The loop calls it from compiled code, where nobody can see the call. What is seen here is where
it was handed over; when the cancellation arrives without another origin, that place is its own.
Only callables of compiled code are looked at: a test of the type is all that other timers pay.
"""

import asyncio.base_events
import sys
from functools import partial
from types import BuiltinMethodType, MethodType
from typing import Any, Final

from autoinstrument import env
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.places import capture_flat
from autoinstrument.records import FlatStack, TaskRecord
from autoinstrument.trackers.cancellations import ScheduledCancel
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_MOST_HINTS: Final = 1_000


class HandlePort(Port):
    """Remembers who handed the cancellation of a task to the loop."""

    part = "scheduled cancellations"

    def __init__(self, failed: Any, tasks: TaskTracker, moments: Moments) -> None:
        """Start with no hints; `kinds` are the types of callables that are worth a look."""
        super().__init__(failed)
        # before Python 3.12 Task.cancel is a function of ours, see asyncio_cancel
        self.kinds = frozenset({partial, BuiltinMethodType if env.HAS_MONITORING else MethodType})
        self.hints = tasks.scheduled_cancels
        self._tasks = tasks
        self._moments = moments

    def scheduled(self, callback: Any, via: str) -> None:
        """A compiled callable is handed to the loop; is it the `cancel` of a task?"""
        try:
            function = callback.func if type(callback) is partial else callback
            task = getattr(function, "__self__", None)
            if not isinstance(task, asyncio.Task) or function.__name__ != "cancel":
                return
            record = self._tasks.record_of(task)
            if record is None:
                return
            if not self.hints:
                self._moments.fire("throws_count")
            if len(self.hints) >= _MOST_HINTS:
                del self.hints[next(iter(self.hints))]
            by = self._tasks.current()
            who = (by.serial, by.name) if by is not None else (0, "")
            stack = capture_flat(sys._getframe(2), 16)
            self.hints[record.serial] = ScheduledCancel(record, via, stack, *who)
        except Exception as exc:
            self.failed("scheduled", exc)

    def thrown(self, record: TaskRecord, parked: FlatStack) -> None:
        """A cancellation arrives in a task: is there an origin for it?"""
        try:
            task = record()
            known = [origin for origin in record.cancels or () if origin.via != "propagated"]
            if task is None or len(record.cancels or ()) >= task.cancelling():
                return
            hint = self._tasks.scheduled_cancel_of(record)
            if hint is not None and len(known) < task.cancelling():
                self._tasks.cancel_arrived(record, hint, parked)
        except Exception as exc:
            self.failed("thrown", exc)


def install(patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any) -> HandlePort:
    """Hook the functions by which callbacks reach a loop, `call_soon` excepted."""
    port = HandlePort(failed, tasks, moments)
    look = "if type(callback) in port.kinds:\n    port.scheduled(callback, '{}')"
    # The loop hands itself `create_task` to close a generator that was collected.
    others = look.replace(":", " and getattr(callback, '__self__', None) is not self:", 1)
    loop: Any = asyncio.base_events.BaseEventLoop
    name = "scheduled cancellations"
    patches.weave(
        name,
        loop,
        "call_at",
        port,
        Edit("before", look.format("timer"), "timer = events.TimerHandle("),
    )
    patches.weave(
        name,
        loop,
        "call_soon_threadsafe",
        port,
        Edit("before", others.format("threadsafe"), "handle = "),  # of another kind since 3.14
    )
    unix = sys.modules.get("asyncio.unix_events")
    if unix is not None:
        patches.weave(
            name,
            unix._UnixSelectorEventLoop,
            "add_signal_handler",
            port,
            Edit("before", look.format("signal"), "handle = events.Handle("),
        )

    def thrown(record: TaskRecord, parked: FlatStack) -> None:
        port.thrown(record, parked)  # looked up each time: it is off once it has failed

    moments.on("cancellation_thrown", thrown)
    return port
