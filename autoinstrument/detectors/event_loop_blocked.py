"""Synchronous code kept the event loop's thread from running anything else."""

from typing import Final

from autoinstrument.detectors._tools import at, frame_place, functions_of, shown, task_text
from autoinstrument.places import has_user_frame
from autoinstrument.records import Finding, LoopRecord, RawStack, TaskRecord
from autoinstrument.world import World

KIND: Final = "event_loop_blocked"


def attach(world: World) -> None:
    """Listen to the watch thread, which reads the loop's stack while it is blocked."""

    def blocked(
        loop: LoopRecord, stack: RawStack, duration_ns: int, task: TaskRecord | None
    ) -> None:
        if not has_user_frame(stack):
            return
        place = frame_place(stack)
        seconds = duration_ns / 1e9
        who = task_text(task)
        inner = stack[0][0].co_qualname
        calls = f", inside {inner}()" if place is not None and inner != place.function else ""
        path = " called by ".join(f"{name}()" for name in functions_of(stack)[:3])
        message = (
            f"The event loop was blocked for at least {seconds:.2f} s by {who}{at(place)}"
            f"{calls}: synchronous code in {path} ran without an `await`, and nothing else could "
            "run in the meantime: no other task, no timer, no network."
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
