"""Asynchronous generators, through the hooks that the loop itself gives to the interpreter."""

import sys
from asyncio.base_events import BaseEventLoop
from types import CodeType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.generators import GeneratorTracker


class GeneratorPort(Port):
    """Tells the generator tracker about first iterations and finalisation."""

    part = "generators"

    def __init__(self, failed: Any, tracker: GeneratorTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self._tracker = tracker
        self._started = tracker.generator_started
        self.told: frozenset[CodeType] = frozenset()  # where the loop itself closes generators

    def first_iteration(self, generator: Any) -> None:
        """The interpreter iterates a generator for the first time, from the frame above."""
        try:
            self._started(generator, sys._getframe(2))
        except Exception as exc:
            self.failed("first_iteration", exc)

    def finalized(self, generator: Any) -> None:
        """The collector found a started generator that nobody closed."""
        try:
            self._tracker.generator_dropped(generator, "collected")
        except Exception as exc:
            self.failed("finalized", exc)

    def shutting_down(self, loop: Any) -> None:
        """`shutdown_asyncgens` is about to close what is left suspended."""
        try:
            known = getattr(loop, "_asyncgens", None)  # compiled loops keep theirs to themselves
            for generator in list(known) if known is not None else self._tracker.of_loop(loop):
                self._tracker.generator_dropped(generator, "loop shutdown")
        except Exception as exc:
            self.failed("shutting_down", exc)


def install(patches: Patches, tracker: GeneratorTracker, failed: Any) -> GeneratorPort:
    """Hook the loop's generator hooks and its shutdown."""
    port = GeneratorPort(failed, tracker)
    loop = BaseEventLoop
    entry = {
        "_asyncgen_firstiter_hook": "port.first_iteration(agen)",
        "_asyncgen_finalizer_hook": "port.finalized(agen)",
        "shutdown_asyncgens": "port.shutting_down(self)",
    }
    for method, call in entry.items():
        if patches.weave("generators", loop, method, port, Edit("entry", call)):
            port.told |= {getattr(loop, method).__code__}
    return port
