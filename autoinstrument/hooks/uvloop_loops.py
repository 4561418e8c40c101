"""uvloop: its loop is compiled, but `uvloop.Loop` is a Python subclass and takes attributes."""

import sys
from types import ModuleType
from typing import Any

from autoinstrument.hooks.asyncio_generators import GeneratorPort
from autoinstrument.hooks.asyncio_loops import LoopPort
from autoinstrument.hooks.patching import Patches
from autoinstrument.trackers.loops import LoopTracker
from autoinstrument.trackers.tasks import TaskTracker


def install(
    patches: Patches,
    module: ModuleType,
    tasks: TaskTracker,
    loops: LoopTracker,
    ports: tuple[GeneratorPort, LoopPort],
) -> None:
    """Set plain functions on `uvloop.Loop` that delegate to the compiled base class."""
    generators, loop_port = ports
    loop_port.others_possible()  # how its loops are made cannot be seen
    holder: Any = module.Loop
    base: Any = holder.__mro__[1]
    close = base.close
    first, final = base._asyncgen_firstiter_hook, base._asyncgen_finalizer_hook
    error, shutdown = base.call_exception_handler, base.shutdown_asyncgens

    def _asyncgen_firstiter_hook(self: Any, agen: Any) -> None:
        generators.first_iteration(agen)
        first(self, agen)

    def _asyncgen_finalizer_hook(self: Any, agen: Any) -> None:
        generators.finalized(agen)
        final(self, agen)

    def call_exception_handler(self: Any, context: Any) -> None:
        loop_port.error(self, context)
        error(self, context)

    def shutdown_asyncgens(self: Any) -> Any:
        generators.shutting_down(self)
        return shutdown(self)

    def close_loop(self: Any) -> None:
        loop_port.closing(self)
        close(self)

    create_task = _creator(patches, base.create_task, tasks, loops, loop_port)
    close_loop.__name__ = "close"
    for function in (
        create_task,
        _asyncgen_firstiter_hook,
        _asyncgen_finalizer_hook,
        call_exception_handler,
        shutdown_asyncgens,
        close_loop,
    ):
        function.__qualname__ = f"Loop.{function.__name__}"
        function.__module__ = base.__module__
        patches.set("uvloop", holder, function.__name__, function)


def _creator(
    patches: Patches, create: Any, tasks: TaskTracker, loops: LoopTracker, loop_port: LoopPort
) -> Any:
    """Return the `create_task` that delegates to the compiled one and records the task."""

    def create_task(self: Any, *args: Any, **kwargs: Any) -> Any:
        task = create(self, *args, **kwargs)
        if patches.closed:
            return task
        coro = args[0] if args else kwargs.get("coro")
        try:
            if getattr(task, "_source_traceback", None):
                del task._source_traceback[-1]
            record = loops.loop_of(self)
            if record is not None and not record.thread_id:
                loops.loop_started(self)
            tasks.task_created(task, coro, sys._getframe(1))
        except TypeError:
            pass  # a task factory may return objects without weak references
        except Exception as exc:
            loop_port.failed("create_task", exc)
        return task

    return create_task
