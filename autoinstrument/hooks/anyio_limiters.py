"""anyio's CapacityLimiter on the asyncio backend: who has borrowed its tokens and who waits.

A token is lent to any object; one that is lent to a task is held by that task. Verified with
anyio 4.6 to 4.16.
"""

import sys
from types import FrameType, ModuleType
from typing import Any, Final

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.resources import ResourceTracker

_KIND: Final = "anyio.CapacityLimiter"


class LimiterPort(Port):
    """Tells the resource tracker who borrows a token, waits for one and gives it back."""

    part = "anyio limiters"

    def __init__(self, failed: Any, resources: ResourceTracker, library: dict[str, Any]) -> None:
        """Keep the tracker, and the globals of the module whose frames lead to a limiter."""
        super().__init__(failed)
        self._resources = resources
        self._library = library

    def borrowed(self, limiter: Any, borrower: Any) -> None:
        """A borrower has a token now."""
        try:
            place = self._caller(sys._getframe(1))
            self._resources.borrowed(limiter, borrower, place, _KIND, _tokens(limiter))
        except Exception as exc:
            self.failed("borrowed", exc)

    def returned(self, limiter: Any, borrower: Any) -> None:
        """A borrower has its token no more."""
        try:
            self._resources.returned(limiter, borrower)
        except Exception as exc:
            self.failed("returned", exc)

    def waiting(self, limiter: Any) -> None:
        """The running task is about to wait for a token."""
        try:
            place = self._caller(sys._getframe(1))
            self._resources.wait_started(limiter, "acquire", place, _KIND, _tokens(limiter))
        except Exception as exc:
            self.failed("waiting", exc)

    def waited(self, limiter: Any, event: Any) -> None:
        """The running task waits no more; it got the token if the event is set."""
        try:
            self._resources.wait_ended(limiter, resolved=event._value)
        except Exception as exc:
            self.failed("waited", exc)

    def _caller(self, frame: FrameType | None) -> FrameType | None:
        """Return the first frame outside anyio's backend: `acquire()` is a chain of calls."""
        while frame is not None and frame.f_globals is self._library:
            frame = frame.f_back
        return frame


def _tokens(limiter: Any) -> int:
    """Return how many tokens there are; 0 for any number, which anyio writes as infinity."""
    total = limiter._total_tokens
    return total if type(total) is int else 0


def install(patches: Patches, module: ModuleType, resources: ResourceTracker, failed: Any) -> None:
    """Hook the limiter of `anyio._backends._asyncio`."""
    port = LimiterPort(failed, resources, vars(module))
    limiter = getattr(module, "CapacityLimiter", None)
    name = "anyio limiters"
    if limiter is None or "acquire_on_behalf_of" not in vars(limiter):
        patches.off(name, "anyio.CapacityLimiter", "built in another way in this version")
        return
    # first of all how tokens come back: without it every borrower would keep its token for ever
    if not patches.weave(
        name,
        limiter,
        "release_on_behalf_of",
        port,
        Edit("after", "port.returned(self, borrower)", "self._borrowers.remove(borrower)"),
    ):
        return
    patches.weave(
        name,
        limiter,
        "acquire_on_behalf_of_nowait",
        port,
        Edit("after", "port.borrowed(self, borrower)", "self._borrowers.add(borrower)"),
    )
    patches.weave(
        name,
        limiter,
        "acquire_on_behalf_of",
        port,
        Edit("before", "port.waiting(self)", "event = asyncio.Event()"),
        Edit(
            "after",
            "port.waited(self, event)\nport.borrowed(self, borrower)",
            "await event.wait()",
        ),
        Edit("before", "port.waited(self, event)", "self._wait_queue.pop(borrower, None)"),
    )
