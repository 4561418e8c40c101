"""A cancelled scope re-schedules its own cancellation on every turn of the loop."""

from typing import Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import at, frame_place, related, scope_text, shown, task_text
from autoinstrument.findings import Finding
from autoinstrument.places import Place
from autoinstrument.records import ScopeRecord, TaskRecord
from autoinstrument.world import World

KIND: Final = "cancel_delivery_spin"


def _parked(record: TaskRecord) -> Place | None:
    task = record()
    return frame_place(stacks.parked(task)) if task is not None else None


def attach(world: World) -> None:
    """Look when a scope has tried to deliver its cancellation far too often."""

    def scope_spinning(scope: ScopeRecord) -> None:
        entered = frame_place(scope.stack)
        origin = scope.cancel_origin
        cancelled = frame_place(origin.stack) if origin is not None else None
        owner = scope.owner
        why = (
            f"its {task_text(owner)} is over"
            if owner is not None and owner.ended
            else "a task in it does not end when it is cancelled"
        )
        if scope.left_stack:
            why += " and its exit was refused"
        inside = world.scopes.tasks_in(scope)
        stuck = ", ".join(f"{task_text(task)}{at(_parked(task))}" for task in inside[:3])
        if stuck:
            why += f" ({stuck})"
        message = (
            f"The {scope_text(scope)} entered{at(entered)} tries to deliver its cancellation on "
            f"every turn of the event loop (at least {scope.deliveries} times by now) because "
            f"{why}. This keeps a processor busy until the program ends."
        )
        finding = Finding(
            KIND,
            message,
            "Leave the scope in the task that entered it, and do not catch cancellation inside it "
            "without raising it again.",
            entered,
            task=scope.owner_name,
            stack=shown(scope.stack),
        )
        finding.related = related("scope entered", entered, scope.owner_name)
        finding.related += related("scope cancelled", cancelled)
        for task in inside[:3]:
            finding.related += related("task in the scope", _parked(task), task.name)
        finding.related += related("scope left", frame_place(scope.left_stack))
        world.report(finding)

    world.moments.on("scope_spinning", scope_spinning)
