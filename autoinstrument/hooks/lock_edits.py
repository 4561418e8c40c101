"""What is woven into the locks and semaphores of asyncio and anyio, and the port that it calls."""

import sys
from textwrap import indent
from typing import Any, Final

from autoinstrument.hooks.ports import Port, running_names, told
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.tasks import TaskTracker


def indented(code: str, levels: int = 1) -> str:
    """Return code for the inside of a block."""
    return indent(code, "    " * levels)


def waits(op: str, kind: str, future: str, permits: int = 0) -> str:
    """Return code that tells that the running task is about to wait for `self`."""
    return told("wait_started", "self", repr(op), "None", repr(kind), repr(permits), future)


def wait_over(future: str) -> str:
    """Return code that tells that it waits no more, if that was not told."""
    return f"if port_id({future}) in port.waiting:\n" + indented(told("wait_over", future))


def permit_got(kind: str) -> str:
    """Return code that tells that the running task has a permit of `self`."""
    return told("permit_got", "self", "port_frame(1)", repr(kind), "self._value + 1")


PERMIT_RELEASED: Final = told("permit_released", "self", "port_frame(1)")
"""Code that tells that a permit is given back, or made."""


class SynchronisationPort(Port):
    """What the ports of asyncio's and anyio's locks share."""

    def __init__(self, failed: Any, resources: ResourceTracker, tasks: TaskTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self.inline = {**running_names(tasks), "frame": sys._getframe}
        self.waiting = resources.waiting
        self.resources = resources
        self.tells("given_back", resources.given_back)
        self.tells("permit_got", resources.acquired_by)
        self.tells("permit_released", resources.released_by)
        self.tells("wait_started", resources.wait_started)
        self.tells("wait_over", resources.wait_over)
