"""A pending task was destroyed by the collector while its loop was running."""

from typing import Any, Final

from autoinstrument.detectors._tools import at, created, is_users_task, opening, shown
from autoinstrument.findings import Finding
from autoinstrument.world import World

KIND: Final = "task_garbage_collected"


def attach(world: World) -> None:
    """Listen to the interpreter's own report through the loop's exception handler."""

    def loop_error(context: dict[str, Any]) -> None:
        if not str(context.get("message", "")).startswith("Task was destroyed but it is pending"):
            return
        task = context.get("task")
        loop = getattr(task, "_loop", None)
        record = world.tasks.lately(task)
        if record is None or loop is None or loop.is_closed() or not loop.is_running():
            return
        if not is_users_task(record):
            return
        place = created(record)
        message = (
            f"{opening(record)}, created{at(place)}, was destroyed by the garbage "
            "collector before it finished. The event loop keeps only weak references to tasks, "
            "and nothing else in the program held this one."
        )
        world.report(
            Finding(
                KIND,
                message,
                "Keep the task in a variable or a set until it is done "
                "(`tasks.add(task); task.add_done_callback(tasks.discard)`), or create it in an "
                "asyncio.TaskGroup.",
                place,
                task=record.name,
                stack=shown(record.stack),
            )
        )

    world.moments.on("loop_error", loop_error)
