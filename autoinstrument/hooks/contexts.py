"""Closing of asynchronous generators as far as Python code does it, and failed context detaches.

`contextlib.aclosing` is woven for Python 3.11, which has no monitoring of calls;
OpenTelemetry's `detach` tells that a token was used in another context.
"""

import contextlib
import sys
from types import AsyncGeneratorType, ModuleType
from typing import Any

from autoinstrument import env
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker


class ContextPort(Port):
    """Tells about generators closed in other tasks and tokens used in other contexts."""

    part = "contexts"

    def __init__(self, failed: Any, tasks: TaskTracker, moments: Moments) -> None:
        """Keep the tracker."""
        super().__init__(failed)
        self._tasks = tasks
        self._moments = moments

    def closing(self, thing: Any) -> None:
        """`aclosing` is about to close something."""
        try:
            if isinstance(thing, AsyncGeneratorType):
                frame = sys._getframe(2)
                self._moments.fire(
                    "generator_called", thing, "aclose", self._tasks.current(), frame
                )
        except Exception as exc:
            self.failed("closing", exc)

    def detach_failed(self) -> None:
        """A context token is refused."""
        try:
            self._moments.fire("detach_failed", sys._getframe(2))
        except Exception as exc:
            self.failed("detach_failed", exc)


def install(patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any) -> None:
    """Hook aclosing where calls cannot be monitored, and OpenTelemetry's context when imported."""
    port = ContextPort(failed, tasks, moments)
    if not env.HAS_MONITORING:
        patches.weave(
            "generator closes",
            contextlib.aclosing,
            "__aexit__",
            port,
            Edit("entry", "port.closing(self.thing)"),
        )

    def imported(module: ModuleType) -> None:
        patches.weave(
            "context tokens",
            module,
            "detach",
            port,
            Edit("before", "port.detach_failed()", "logger.exception("),
        )

    patches.when_imported("opentelemetry.context", imported)
