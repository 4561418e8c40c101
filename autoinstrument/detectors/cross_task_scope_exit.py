"""A cancel scope, timeout or task group is left by another task than the one that entered it."""

import inspect
from types import CodeType, FrameType
from typing import Final

from autoinstrument.detectors._tools import (
    at,
    frame_place,
    generator_codes,
    named_task,
    related,
    scope_text,
    shown,
    task_text,
)
from autoinstrument.findings import Finding
from autoinstrument.places import Place, has_user_frame, is_user_file
from autoinstrument.records import GeneratorRecord, ScopeRecord, TaskRecord
from autoinstrument.stacks import generator_frames
from autoinstrument.world import World

KIND: Final = "cross_task_scope_exit"
_EXIT_STACKS: Final = ("ExitStack.", "AsyncExitStack.", "_BaseExitStack.")
_SERVERS: Final = ("starlette", "aiohttp", "uvicorn")
_GENERATOR: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def attach(world: World) -> None:
    """Check every irregular exit, inside the exiting call."""

    def scope_left(record: ScopeRecord, task: TaskRecord | None, frame: FrameType | None) -> None:
        if task is None or record.owner is None or record.owner is task:
            return
        world.report(_finding(world, record, task, frame))

    world.moments.on("scope_left", scope_left)


def _finding(
    world: World, record: ScopeRecord, task: TaskRecord, frame: FrameType | None
) -> Finding:
    stack = record.left_stack
    generator, code = _carrier(world, record, frame)
    entered = frame_place(record.stack)
    location = _location(record, generator)
    carried, remedy = _explain(record, task, generator, code, location)
    owner = record.owner
    message = (
        f"The {scope_text(record)} entered{at(entered)} by {task_text(owner)} was left by "
        f"{task_text(task)}{at(location)}. {carried}A cancel scope must be left by the task that "
        "entered it: its cancellation is bound to that task."
    )
    finding = Finding(KIND, message, remedy, location, task=task.name, stack=shown(stack))
    finding.related = related("scope entered", entered, record.owner_name)
    for outer in shown(record.stack)[1:3]:
        finding.related += related("entered from", outer, record.owner_name)
    if generator is not None:
        finding.related += related(
            "generator iterated", frame_place(generator.stack), generator.owner_name
        )
    return finding


def _carrier(
    world: World, record: ScopeRecord, frame: FrameType | None
) -> tuple[GeneratorRecord | None, CodeType | None]:
    """Return the asynchronous generator that took the scope from task to task, if one did."""
    entered_in = generator_codes(record.stack)
    for step in generator_frames(frame):
        if step.f_code in entered_in or not entered_in:
            return world.generators.by_frame(step), step.f_code
    return None, (entered_in[0] if entered_in else None)


def _location(record: ScopeRecord, generator: GeneratorRecord | None) -> Place | None:
    """Return the line that left the scope.

    The `with` inside a generator-based context manager is the line of its entry as well: what
    resumed the generator says more.
    """
    stack = record.left_stack
    entered_in = {raw[0] for raw in record.stack}
    outer = tuple(
        raw for raw in stack if not (raw[0].co_flags & _GENERATOR and raw[0] in entered_in)
    )
    if has_user_frame(outer):
        return frame_place(outer)
    if generator is not None and not has_user_frame(stack) and has_user_frame(generator.stack):
        return frame_place(generator.stack)
    return frame_place(stack)


def _explain(
    record: ScopeRecord,
    task: TaskRecord,
    generator: GeneratorRecord | None,
    code: CodeType | None,
    location: Place | None,
) -> tuple[str, str]:
    """Return the cause in words and the remedy for it."""
    owner = record.owner
    if generator is not None and generator.finalized_by:
        who = "the garbage collector" if generator.finalized_by == "collected" else "the loop's end"
        iterated = frame_place(generator.stack)
        return (
            f"It was entered inside the asynchronous generator {generator.qualname}(), iterated"
            f"{at(iterated)}, which was left before its end; {who} closed it in another task. ",
            "Close the generator in the task that iterates it: "
            "`async with contextlib.aclosing(...) as items:` around the `async for`.",
        )
    if owner is not None and any(raw[0].co_name == "wait_for" for raw in owner.stack):
        return (
            f"asyncio.wait_for() runs what it waits for in a task of its own before Python 3.12, "
            f"so the scope was entered in that helper task ({owner.qualname}). ",
            "Use `async with asyncio.timeout(...)` instead of `asyncio.wait_for(...)`, "
            "which stays in the task.",
        )
    if code is not None:
        fixture = " (a fixture, perhaps)" if is_user_file(code.co_filename) else ""
        return (
            f"The scope is held across the `yield` of the asynchronous generator "
            f"{code.co_qualname}(){fixture}, which was started by "
            f"{named_task(record.owner_name)} and resumed by {named_task(task.name)}. ",
            "Let one task run the generator from its start to its end, or keep the scope out of "
            "it: open it in an owner task that waits for a stop event.",
        )
    return (
        _handed_on(record, task),
        "Close it in the task that opened it, or let one owner task open it, wait for a stop "
        "event, and close it.",
    )


def _handed_on(record: ScopeRecord, task: TaskRecord) -> str:
    """Say what carried a scope to another task: an exit stack, a handler of requests."""
    said = ""
    if any(raw[0].co_qualname.startswith(_EXIT_STACKS) for raw in record.left_stack):
        said = "It was kept on a contextlib exit stack, which was closed elsewhere. "
    for stack in (record.left_stack, task.stack, record.stack):
        server = next((name for code, _ in stack for name in _SERVERS if name in _parts(code)), "")
        if server:
            what = "entered" if stack is record.stack else "left"
            return said + f"It was {what} while {server} was serving a request or its start-up. "
    return said


def _parts(code: CodeType) -> list[str]:
    return code.co_filename.replace("\\", "/").split("/")
