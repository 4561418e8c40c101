"""Asynchronous generators, through the hooks that the loop itself gives to the interpreter.

Woven code writes a first iteration down itself; without a task, or where something goes wrong, it
calls the port.
"""

import sys
import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

from autoinstrument import env
from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import RUNNING, Port, running_names, stack_of, told
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import UNTIMED
from autoinstrument.trackers.generators import GeneratorTracker
from autoinstrument.trackers.tasks import TaskTracker

_RUNNING: Final = RUNNING if not env.ASKS_FOR_PROCESS else "port_running(self)"
"""The running task: of the loop whose hook is called, see `lock_edits.BOUND`."""

_STARTED: Final = f"""
try:
    asyncscope_running = {_RUNNING}
    asyncscope_task = port_generators.last
    if asyncscope_task() is not asyncscope_running:
        asyncscope_task = port_generators.last = port_live(port_id(asyncscope_running))
        asyncscope_task.remember_name()
{stack_of("port_generators", "asyncscope_running")}
    port_generators.started = asyncscope_number = port_generators.started + 1
    port_generators.entries[port_id(agen)] = [
        port_proxy(agen),
        agen.ag_code,
        asyncscope_task,
        asyncscope_stack,
        {UNTIMED} if port_generators.outbox is None else port_now(),
        asyncscope_number,
        None,
    ]
    if not asyncscope_number & 63:
        port_generators.sweep()
    asyncscope_running = None
except Exception:
    port.first_iteration(agen)
"""


class GeneratorPort(Port):
    """Tells the generator tracker about first iterations and finalisation."""

    part = "generators"
    collected: Callable[[Any], None]

    def __init__(self, failed: Any, tracker: GeneratorTracker, tasks: TaskTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self.inline = {**running_names(tasks), "generators": tracker, "proxy": weakref.proxy}
        self._tracker = tracker
        self._started = tracker.generator_started
        self.tells("collected", tracker.generator_collected)
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
            self.collected(generator)
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


def install(
    patches: Patches, tracker: GeneratorTracker, tasks: TaskTracker, failed: Any
) -> GeneratorPort:
    """Hook the loop's generator hooks and its shutdown."""
    port = GeneratorPort(failed, tracker, tasks)
    loop = BaseEventLoop
    entry = {
        "_asyncgen_firstiter_hook": _STARTED,
        "_asyncgen_finalizer_hook": told("collected", "agen"),
        "shutdown_asyncgens": "port.shutting_down(self)",
    }
    for method, call in entry.items():
        if patches.weave("generators", loop, method, port, Edit("entry", call)):
            port.told |= {getattr(loop, method).__code__}
    return port
