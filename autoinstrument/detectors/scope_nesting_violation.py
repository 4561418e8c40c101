"""A scope is left while a scope that the same task entered later is still open."""

from types import FrameType
from typing import Final

from autoinstrument.detectors._tools import at, frame_place, opening, related, scope_text, shown
from autoinstrument.findings import Finding
from autoinstrument.records import ScopeRecord, TaskRecord
from autoinstrument.world import World

KIND: Final = "scope_nesting_violation"


def attach(world: World) -> None:
    """Check every irregular exit, inside the exiting call."""

    def scope_left(record: ScopeRecord, task: TaskRecord | None, frame: FrameType | None) -> None:
        if task is None or record.owner is not task or not task.scopes:
            return
        if record not in task.scopes:
            return
        inner = task.scopes[task.scopes.index(record) + 1 :]
        if record.kind == "asyncio.timeout":
            # a deadline around the entry of something longer-lived ends without harm
            inner = [scope for scope in inner if scope.kind == record.kind]
        if inner:
            world.report(_finding(record, task, inner))

    world.moments.on("scope_left", scope_left)


def _finding(record: ScopeRecord, task: TaskRecord, inner: list[ScopeRecord]) -> Finding:
    location = frame_place(record.left_stack)
    entered = frame_place(record.stack)
    latest = inner[-1]
    still = frame_place(latest.stack)
    more = f" and {len(inner) - 1} more" if len(inner) > 1 else ""
    message = (
        f"{opening(task)} left the {scope_text(record)} entered{at(entered)}, "
        f"now{at(location)}, while the {scope_text(latest)} entered later{at(still)}{more} is "
        "still open. Scopes must be left in the reverse order of their entry."
    )
    finding = Finding(
        KIND,
        message,
        "Close what was opened last first: nest the blocks, or put both into one "
        "contextlib.AsyncExitStack, which closes in reverse order.",
        location,
        task=task.name,
        stack=shown(record.left_stack),
    )
    finding.related = related("scope entered", entered, task.name)
    for scope in inner[-4:]:
        finding.related += related("still open scope entered", frame_place(scope.stack), task.name)
    return finding
