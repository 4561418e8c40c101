"""A task is still pending when its loop is closed."""

from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import (
    at,
    created,
    frame_place,
    is_users_task,
    opening,
    related,
    shown,
)
from autoinstrument.findings import Finding
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

KIND: Final = "task_leaked"


def attach(world: World) -> None:
    """Look at the tasks of a loop when it is closed."""

    def loop_closing(loop: Any) -> None:
        for record in world.tasks.pending():
            task = record()
            if task is not None and getattr(task, "_loop", None) is loop and is_users_task(record):
                world.report(_finding(record, task))

    world.moments.on("loop_closing", loop_closing)


def _finding(record: TaskRecord, task: Any) -> Finding:
    parked = stacks.parked(task)
    waiting = frame_place(parked)
    place = created(record)
    state = f"It was waiting{at(waiting)}" if parked else "It had not started yet"
    message = (
        f"{opening(record)}, created{at(place)}, was still pending when its event "
        f"loop was closed. {state} and will never finish; its `finally` blocks do not run."
    )
    finding = Finding(
        KIND,
        message,
        "Keep the task and await it before the loop ends, or cancel it and await that; "
        "`asyncio.run()` and `asyncio.TaskGroup` do so by themselves.",
        place,
        task=record.name,
        stack=shown(record.stack),
    )
    finding.related = related("waiting", waiting, record.name)
    return finding
