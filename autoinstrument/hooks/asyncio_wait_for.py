"""`asyncio.wait_for` before Python 3.12, where a deadline is no cancellation of the waiting task.

It waits for a future of its own, and at the deadline cancels what it was given. From 3.12 on it
is an `asyncio.timeout`, which `asyncio_scopes` sees.
"""

import asyncio.tasks
import sys
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.places import capture
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker


class WaitForPort(Port):
    """Tells about deadlines of `wait_for` that have passed."""

    part = "wait_for"

    def __init__(self, failed: Any, tasks: TaskTracker, moments: Moments) -> None:
        """Keep the trackers."""
        super().__init__(failed)
        self._tasks = tasks
        self._moments = moments

    def expired(self, future: Any) -> None:
        """The deadline has passed; `wait_for` is about to cancel what it waits for."""
        try:
            record = self._tasks.current()
            if record is not None and not isinstance(future, asyncio.Task):
                self._moments.fire("wait_expired", record, capture(sys._getframe(1), 24))
        except Exception as exc:
            self.failed("expired", exc)

    def over(self, future: Any) -> None:
        """What `wait_for` has cancelled at its deadline is over."""
        try:
            record = self._tasks.record_of(future)
            if record is not None and not future.cancelled() and future._exception is None:
                self._moments.fire("wait_for_returned", record, capture(sys._getframe(2), 24))
        except Exception as exc:
            self.failed("over", exc)


def install(patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any) -> None:
    """Hook `wait_for` of Python 3.11."""
    port = WaitForPort(failed, tasks, moments)
    patches.weave(
        "wait_for",
        asyncio.tasks,
        "wait_for",
        port,
        Edit("before", "port.expired(fut)", "await _cancel_and_wait("),
        Edit("before", "port.over(fut)", "try:\n    return fut.result()"),
    )
