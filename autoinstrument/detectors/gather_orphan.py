"""gather() raised its first error and other children went on running, owned by nobody."""

from typing import Any, Final

from autoinstrument.detectors._tools import at, created, frame_place, related, shown, task_text
from autoinstrument.findings import Finding
from autoinstrument.records import CANCELLED, GatherRecord, TaskRecord
from autoinstrument.world import World

KIND: Final = "gather_orphan"
_GRACE_NS: Final = 100_000_000  # the caller may cancel and await the rest


def attach(world: World) -> None:
    """Remember each failed gather, and look a little later whether somebody took care."""
    waiting: list[GatherRecord] = []

    def gather_failed(record: GatherRecord) -> None:
        if len(waiting) < 1000:
            waiting.append(record)

    def look(now_ns: int | None = None, *_: Any) -> None:
        for record in list(waiting):
            if isinstance(now_ns, int) and now_ns - record.at_ns < _GRACE_NS:
                continue
            if record in waiting:
                waiting.remove(record)
            orphans = [child for child in record.left if _went_on(child, record)]
            if orphans:
                world.report(_finding(record, orphans))

    world.moments.on("gather_failed", gather_failed)
    world.moments.on("tick", look)
    world.moments.on("loop_ending", lambda _: look())
    world.moments.on("loop_closing", lambda _: look())


def _went_on(child: TaskRecord, gather: GatherRecord) -> bool:
    """Whether a child was neither cancelled nor awaited by anybody after the failure."""
    if child.cancels and child.cancels[-1].at_ns >= gather.at_ns - 1_000_000:
        return False
    if child.outcome == CANCELLED:
        return False
    task = child()
    if task is None or task.done():
        # over by now: it did go on if its end came well after the failure
        return bool(child.ended_ns) and child.ended_ns - gather.at_ns > 20_000_000
    callbacks = getattr(task, "_callbacks", None) or ()
    return len(callbacks) <= 1  # gather's own; a second one means that somebody awaits it


def _finding(record: GatherRecord, orphans: list[TaskRecord]) -> Finding:
    place = frame_place(record.stack)
    names = ", ".join(task_text(child) for child in orphans[:6])
    caller = task_text(record.caller)
    message = (
        f"asyncio.gather(){at(place)} raised {record.error} in {caller}, but "
        f"{len(orphans)} of its children went on running with nobody waiting for them: {names}. "
        "gather() does not cancel the other children when one fails."
    )
    finding = Finding(
        KIND,
        message,
        "Use `async with asyncio.TaskGroup()`, which cancels and awaits the rest, or cancel and "
        "await the other tasks yourself in the `except` block.",
        place,
        task=record.caller.name if record.caller is not None else "",
        stack=shown(record.stack),
    )
    for child in orphans[:6]:
        finding.related += related("still running", created(child), child.name)
    return finding
