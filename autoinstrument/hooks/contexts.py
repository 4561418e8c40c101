"""Closing of asynchronous generators as far as Python code does it, and failed context detaches.

`contextlib.aclosing` is woven: calls cannot be monitored on Python 3.11, and cost more elsewhere.
OpenTelemetry's `detach` tells that a token was used in another context.
"""

import contextlib
import sys
from types import AsyncGeneratorType, CodeType, ModuleType
from typing import Any, Final

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import RUNNING, Port, running_names
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.generators import GeneratorTracker
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker

_CLOSING: Final = f"""
asyncscope_thing = self.thing
try:
    if (
        port_type(asyncscope_thing) is not port_generator
        or port_generators.entries[port_id(asyncscope_thing)][2]() is not {RUNNING}
        or asyncscope_thing.ag_running
    ):
        port.closing(asyncscope_thing)
except Exception:
    port.closing(asyncscope_thing)
del asyncscope_thing
"""
"""Of no interest is the closing by the task that started it, with nobody inside (`is_at_home`)."""


class ContextPort(Port):
    """Tells about generators closed in other tasks and tokens used in other contexts."""

    part = "contexts"

    def __init__(
        self, failed: Any, generators: GeneratorTracker, tasks: TaskTracker, moments: Moments
    ) -> None:
        """Keep the tracker."""
        super().__init__(failed)
        self.inline = {
            **running_names(tasks),
            "generators": generators,
            "generator": AsyncGeneratorType,
            "type": type,
        }
        self._generators = generators
        self._moments = moments

    def closing(self, thing: Any) -> None:
        """`aclosing` is about to close something."""
        try:
            if type(thing) is AsyncGeneratorType and not self._generators.is_at_home(thing):
                self._generators.generator_called(thing, "aclose", sys._getframe(2))
        except Exception as exc:
            self.failed("closing", exc)

    def detach_failed(self) -> None:
        """A context token is refused."""
        try:
            self._moments.fire("detach_failed", sys._getframe(2))
        except Exception as exc:
            self.failed("detach_failed", exc)


def install(
    patches: Patches,
    trackers: tuple[GeneratorTracker, TaskTracker],
    moments: Moments,
    failed: Any,
) -> frozenset[CodeType]:
    """Hook aclosing, and OpenTelemetry's context when imported.

    Returns the code whose closing of generators is told from here.
    """
    port = ContextPort(failed, *trackers, moments)
    aclosing = contextlib.aclosing
    edit = Edit("entry", _CLOSING)
    told = patches.weave("generator closes", aclosing, "__aexit__", port, edit)

    def imported(module: ModuleType) -> None:
        patches.weave(
            "context tokens",
            module,
            "detach",
            port,
            Edit("before", "port.detach_failed()", "logger.exception("),
        )

    patches.when_imported("opentelemetry.context", imported)
    return frozenset({aclosing.__aexit__.__code__} if told else ())
