"""An object that is bound to one event loop is used from another."""

from types import FrameType
from typing import Any, Final

from autoinstrument.detectors._tools import at, frame_place, functions_of, opening, shown
from autoinstrument.findings import Finding
from autoinstrument.places import capture, has_user_frame
from autoinstrument.records import RawStack, TaskRecord
from autoinstrument.world import World

KIND: Final = "wrong_event_loop"


def attach(world: World) -> None:
    """Listen to the library's own check, and to tasks that failed by awaiting a foreign future."""

    def loop_mismatch(thing: Any, frame: FrameType) -> None:
        stack = capture(frame, 24)
        _report(world, type(thing).__name__, stack, world.tasks.current())

    def error_seen(error: BaseException, stack: RawStack, task: TaskRecord | None) -> None:
        text = str(error.args[0]) if error.args else ""
        if type(error) is not RuntimeError or task is None:
            return
        if "attached to a different loop" in text:
            _report(world, "future", stack, task)
        elif text == "Event loop is closed" and _from_another_loop(world, task, stack):
            _report(world, "object of a closed loop", stack, task)

    world.moments.on("loop_mismatch", loop_mismatch)
    world.moments.on("error_seen", error_seen)


def _from_another_loop(world: World, task: TaskRecord, stack: RawStack) -> bool:
    """Whether a task in a loop that is open met a closed one."""
    running = task()
    loop = getattr(running, "_loop", None)
    return loop is not None and not loop.is_closed() and has_user_frame(stack)


def _report(world: World, what: str, stack: RawStack, task: TaskRecord | None) -> None:
    if not has_user_frame(stack) and task is not None:
        stack = task.stack  # a helper task, made by wait_for() before Python 3.12
    if not has_user_frame(stack):
        return
    place = frame_place(stack)
    name = _name_on_line(place.file, place.line) if place is not None else ""
    used = f"{what} {name}" if name else f"asyncio {what}"
    where = f" in {', '.join(f'{function}()' for function in functions_of(stack)[:2])}"
    message = (
        f"{opening(task)} used{at(place)} the {used}, which is bound to another event "
        f"loop{where}. Locks, queues, futures and connections belong to the loop in which they "
        "first waited."
    )
    world.report(
        Finding(
            KIND,
            message,
            "Create the object inside the coroutine that runs in the loop (one per loop), or reach "
            "the other loop by `asyncio.run_coroutine_threadsafe()`.",
            place,
            task=task.name if task is not None else "",
            stack=shown(stack),
        )
    )


def _name_on_line(file: str, line: int) -> str:
    """Return the expression of `async with x` or `await x...` on a line, as the user wrote it."""
    import linecache
    import re

    text = linecache.getline(file, line)
    match = re.search(r"(?:async with|await)\s+([\w.]+)", text)
    return match[1] if match else ""
