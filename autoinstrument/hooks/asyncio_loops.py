"""Event loops of asyncio: run, end, close, and what their exception handler is told."""

import asyncio.events
import asyncio.runners
import sys
import warnings
from asyncio.base_events import BaseEventLoop
from asyncio.events import Handle
from typing import Any, Final

from autoinstrument import env
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port, told
from autoinstrument.hooks.weaving import Edit
from autoinstrument.places import set_loop_codes
from autoinstrument.trackers.loops import LoopTracker
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.running import known

_RUNS: Final = Edit("after", told("runs", "self"), "events._set_running_loop(self)")
_STOPS: Final = Edit("before", told("stops", "self"), "events._set_running_loop(None)")


class LoopPort(Port):
    """Tells the loop tracker about event loops and the interpreter's own reports."""

    part = "loops"

    def __init__(self, failed: Any, loops: LoopTracker, moments: Moments) -> None:
        """Keep the tracker."""
        super().__init__(failed)
        self._loops = loops
        self._moments = moments
        self.tells("runs", known.begins)
        self.tells("stops", known.ends)

    def made(self) -> None:
        """A loop is made."""
        try:
            self._loops.loop_made()
        except Exception as exc:
            self.failed("made", exc)

    def others_possible(self) -> None:
        """Loops may be made without being seen, or were made before."""
        try:
            self._loops.others_possible()
        except Exception as exc:
            self.failed("others_possible", exc)

    def started(self, loop: Any) -> None:
        """`run_forever` begins."""
        try:
            self._loops.loop_started(loop)
        except Exception as exc:
            self.failed("started", exc)

    def stopped(self, loop: Any) -> None:
        """`run_forever` ends, however."""
        try:
            self._loops.loop_stopped(loop)
        except Exception as exc:
            self.failed("stopped", exc)

    def closing(self, loop: Any) -> None:
        """`close` begins."""
        try:
            if not loop.is_running() and not loop.is_closed():
                self._loops.loop_closing(loop)
                known.closed(loop)
        except Exception as exc:
            self.failed("closing", exc)

    def ending(self, loop: Any) -> None:
        """`asyncio.run()` is about to cancel the tasks that are left."""
        try:
            self._loops.loop_ending(loop)
        except Exception as exc:
            self.failed("ending", exc)

    def error(self, loop: Any, context: Any) -> None:
        """The exception handler of a loop is about to be called."""
        try:
            self._loops.loop_error(loop, context)
        except Exception as exc:
            self.failed("error", exc)

    def unawaited(self, coro: Any) -> None:
        """The interpreter destroys a coroutine that never started."""
        try:
            self._moments.fire("unawaited", coro, sys._getframe(2))
        except Exception as exc:
            self.failed("unawaited", exc)


def install(patches: Patches, loops: LoopTracker, moments: Moments, failed: Any) -> LoopPort:
    """Hook the life of loops and the reports that the interpreter makes by itself."""
    port = LoopPort(failed, loops, moments)
    set_loop_codes(Handle._run.__code__, vars(BaseEventLoop)["_run_once"].__code__)
    name = "loops"
    if not patches.weave(name, BaseEventLoop, "__init__", port, Edit("entry", "port.made()")) or (
        getattr(asyncio.events, "_event_loop_policy", port) is not None
    ):
        port.others_possible()  # some may have been made before
    patches.weave(
        name,
        BaseEventLoop,
        "run_forever",
        port,
        Edit("leave", "port.stopped(self)"),
        Edit("entry", "port.started(self)"),
        *([_RUNS, _STOPS] if env.ASKS_FOR_PROCESS else []),
    )
    patches.weave(name, BaseEventLoop, "close", port, Edit("entry", "port.closing(self)"))
    patches.weave(
        name,
        BaseEventLoop,
        "call_exception_handler",
        port,
        Edit("entry", "port.error(self, context)"),
    )
    patches.weave(
        name, asyncio.runners, "_cancel_all_tasks", port, Edit("entry", "port.ending(loop)")
    )
    patches.weave(
        "coroutines",
        warnings,
        "_warn_unawaited_coroutine",
        port,
        Edit("entry", "port.unawaited(coro)"),
    )
    return port
