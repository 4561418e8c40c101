"""A task ended with an exception that nobody looked at."""

from typing import Any, Final

from autoinstrument.detectors._tools import at, created, frame_place, opening, related, shown
from autoinstrument.findings import Finding
from autoinstrument.places import is_user_file, traceback_places
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

KIND: Final = "task_exception_never_retrieved"


def attach(world: World) -> None:
    """Listen to the interpreter's own report, and look at what is left at exit."""

    def loop_error(context: dict[str, Any]) -> None:
        task = context.get("future")
        if context.get("message") != "Task exception was never retrieved" or task is None:
            return
        record = world.tasks.lately(task)
        if record is not None:
            _report(world, record, context.get("exception"))

    def look(*_: Any) -> None:
        for record in list(world.tasks.live.values()):
            task = record()
            if task is None or not getattr(task, "_log_traceback", False):
                continue
            if task.done() and not task.cancelled():
                _report(world, record, getattr(task, "_exception", None))

    world.moments.on("loop_error", loop_error)
    world.moments.on("exit", look)


def _report(world: World, record: TaskRecord, error: BaseException | None) -> None:
    if error is None or isinstance(error, SystemExit | KeyboardInterrupt):
        return  # these two leave the loop by themselves
    raised_at = traceback_places(error)
    raised = frame_place(raised_at)
    place = created(record)
    if place is not None and not is_user_file(place.file) and raised is not None:
        place = raised
    name = type(error).__qualname__
    message = (
        f"{opening(record)}, created{at(place)}, failed with {name}{at(raised)}, "
        "and nobody retrieved the exception: no code awaited the task or asked for its result."
    )
    finding = Finding(
        KIND,
        message,
        "Await the task, run it in an asyncio.TaskGroup, or add a done callback that looks at "
        "`task.exception()`.",
        place,
        task=record.name,
        stack=shown(raised_at),
    )
    finding.related = related("raised", raised, record.name)
    finding.key = name
    world.report(finding)
