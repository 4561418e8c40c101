"""Synchronous code kept the event loop's thread from running anything else."""

import inspect
from typing import Final

from autoinstrument.detectors._tools import at, frame_place, functions_of, shown, task_text
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame, is_stdlib_file, is_user_file
from autoinstrument.records import LoopRecord, RawStack, TaskRecord
from autoinstrument.world import World

KIND: Final = "event_loop_blocked"
_PATIENCE_WITH_LIBRARIES: Final = 3
_ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def attach(world: World) -> None:
    """Listen to the watch thread, which reads the loop's stack while it is blocked."""
    own_ns = world.settings.block_ms * 1_000_000 * _PATIENCE_WITH_LIBRARIES

    def blocked(
        loop: LoopRecord, stack: RawStack, duration_ns: int, task: TaskRecord | None
    ) -> None:
        if not has_user_frame(stack) or _is_import_of_a_library(stack):
            return
        if _is_a_librarys_own(stack) and duration_ns < own_ns:
            return
        place = frame_place(stack)
        seconds = duration_ns / 1e9
        who = task_text(task)
        inner = stack[0][0].co_qualname
        calls = f", inside {inner}()" if place is not None and inner != place.function else ""
        path = " called by ".join(f"{name}()" for name in functions_of(stack)[:3])
        message = (
            f"The event loop was blocked for at least {seconds:.2f} s by {who}{at(place)}"
            f"{calls}: synchronous code in {path} ran without an `await` that waits, and "
            "nothing else could run in the meantime: no other task, no timer, no network."
        )
        world.report(
            Finding(
                KIND,
                message,
                "Use the asynchronous equivalent (`await asyncio.sleep()`, an asynchronous client) "
                "or move the work out: `await asyncio.to_thread(function)`, a process pool for "
                "computing.",
                place,
                severity="warning",
                task=task.name if task is not None else "",
                stack=shown(stack),
            )
        )

    world.moments.on("blocked", blocked)


def _is_import_of_a_library(stack: RawStack) -> bool:
    """Whether a library imports something at its first use, such as anyio its backend.

    That happens once, and the program cannot move it out of the loop. An `import` statement in
    the program's own functions is another matter.
    """
    importing = False
    for code, _ in stack:
        if code.co_filename.startswith("<frozen importlib"):
            importing = True
        elif importing and not is_stdlib_file(code.co_filename):
            return not is_user_file(code.co_filename)
    return False


def _is_a_librarys_own(stack: RawStack) -> bool:
    """Whether a coroutine of an installed package blocks, and not what the program calls.

    A short block of that kind, such as an SDK that asks for the machine's name, is not worth a
    finding: the program can do nothing about it.
    """
    for code, _ in stack:
        if is_user_file(code.co_filename):
            return False
        if code.co_flags & _ASYNC and not is_stdlib_file(code.co_filename):
            return True
    return False
