"""A lock is released by a task that does not own it, while the owner still relies on it."""

from typing import Final

from autoinstrument.detectors._tools import at, frame_place, shown, taken_related, task_text
from autoinstrument.detectors._waits import helper_parent
from autoinstrument.findings import Finding
from autoinstrument.records import Hold, LockRecord, RawStack, TaskRecord
from autoinstrument.world import World

KIND: Final = "lock_released_by_other_task"


def attach(world: World) -> None:
    """Look at each release by a task that is not the holder, inside the call."""

    def lock_released(
        lock: LockRecord, hold: Hold | None, task: TaskRecord | None, stack: RawStack
    ) -> None:
        if hold is None or "Semaphore" in lock.kind or hold.owner.ended:
            return
        owner = helper_parent(world, hold)
        if owner is task or owner.ended:
            return
        place = frame_place(stack)
        taken = frame_place(hold.stack)
        taken_by = f"{lock.kind} #{lock.serial}, taken{at(taken)} by {task_text(owner)},"
        if lock.kind.startswith("asyncio."):
            message = (
                f"{taken_by} was released{at(place)} by {task_text(task)} while its owner was "
                "still using it; others can enter the guarded section now. asyncio.Lock does not "
                "check its owner."
            )
        else:
            message = (
                f"{taken_by} was to be released{at(place)} by {task_text(task)}, which does not "
                "hold it. anyio checks the owner: the call raised RuntimeError, and the lock is "
                "still held."
            )
        finding = Finding(
            KIND,
            message,
            "Release a lock only in the task that took it (`async with lock:`); to hand over "
            "between tasks use an asyncio.Event or a Condition.",
            place,
            task=task.name if task is not None else "",
            stack=shown(stack),
        )
        finding.related = taken_related("taken", hold, owner.name)
        world.report(finding)

    world.moments.on("lock_released", lock_released)
