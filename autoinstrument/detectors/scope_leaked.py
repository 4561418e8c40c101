"""A scope was entered and its task ended, or dropped it, without ever leaving it."""

from typing import Any, Final

from autoinstrument.detectors._tools import (
    at,
    frame_place,
    functions_of,
    related,
    scope_text,
    shown,
    task_text,
)
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame
from autoinstrument.records import ScopeRecord
from autoinstrument.world import World

KIND: Final = "scope_leaked"


def attach(world: World) -> None:
    """Look when a loop closes, and at exit."""
    said: set[int] = set()

    def look(loop: Any = None) -> None:
        for scope in world.scopes.open:
            if scope.owner is None or (loop is not None and scope.owner.loop_id != id(loop)):
                continue
            if scope.owner.ended and not scope.left_ns and scope.serial not in said:
                said.add(scope.serial)
                _report(world, scope)

    world.moments.on("loop_ending", look)
    world.moments.on("loop_closing", look)
    world.moments.on("exit", look)


def _report(world: World, scope: ScopeRecord) -> None:
    if not has_user_frame(scope.stack):
        return
    entered = frame_place(scope.stack)
    owner = scope.owner
    hit, places = _victims(scope)
    message = (
        f"The {scope_text(scope)} entered{at(entered)} by {task_text(owner)} was never left: the "
        f"task {'ended' if owner is None or owner.ended else 'went on'} without leaving it. {hit}"
        "A scope that stays open can cancel code that has nothing to do with it."
    )
    finding = Finding(
        KIND,
        message,
        "Use `with` or `async with` instead of calling `__aenter__()`, or leave the scope in a "
        "`finally` block also when the set-up after it fails (contextlib.AsyncExitStack does so).",
        entered,
        task=scope.owner_name,
        stack=shown(scope.stack),
    )
    finding.related = places
    world.report(finding)


def _victims(scope: ScopeRecord) -> tuple[str, list[Any]]:
    names: list[str] = []
    places = []
    for stack in scope.victims:
        for name in functions_of(stack)[:2]:
            if name not in names:
                names.append(name)
        places += related("cancelled by this scope", frame_place(stack), scope.owner_name)
    if not names:
        return "", []
    return f"Its cancellation was delivered in {', '.join(f'{name}()' for name in names)}. ", places
