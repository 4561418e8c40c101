"""A coroutine object was destroyed without having been started."""

import dis
from collections.abc import Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from autoinstrument.detectors._tools import at, frame_place, function_name, related, shown
from autoinstrument.findings import Finding
from autoinstrument.places import Place, capture, is_user_file, line_of
from autoinstrument.records import RawStack
from autoinstrument.world import World

KIND: Final = "coroutine_never_awaited"


def attach(world: World) -> None:
    """Listen to the interpreter's own report, made when the coroutine is destroyed."""

    def unawaited(coro: Any, frame: FrameType | None) -> None:
        stack = capture(frame, 24)
        code = coro.cr_code
        if not is_user_file(code.co_filename) and not _from_user(stack):
            return
        if _cancelled_before_start(world, code):
            return
        place, sure = _created_at(coro, frame, stack)
        world.report(_finding(coro, code, place, stack, sure=sure))

    world.moments.on("unawaited", unawaited)


def _from_user(stack: RawStack) -> bool:
    return bool(stack) and any(is_user_file(raw[0].co_filename) for raw in stack[:3])


def _cancelled_before_start(world: World, code: CodeType) -> bool:
    """Whether the coroutine belonged to a task that was cancelled before its first step."""
    tasks = world.tasks
    for record in [*list(tasks.finished)[-50:], *tasks.pending()]:
        if record.code is code and record.cancels and not record.ended_ns:
            return True
    return False


def _created_at(coro: Any, frame: FrameType | None, stack: RawStack) -> tuple[Place | None, bool]:
    """Return where the coroutine was made, and whether that is certain.

    The destruction is usually inside the function that made it: the line there that calls
    the coroutine function is the place. Otherwise the program's functions are searched for
    calls; several of them make the answer a possible one.
    """
    name = coro.__name__
    for code, lasti in stack:
        if not is_user_file(code.co_filename):
            continue
        lines = _calls(code, name)
        here = line_of(code, lasti)
        if here in lines:
            return Place(code.co_filename, here, code.co_qualname), True
        before = [line for line in lines if line <= here]
        if before:
            return Place(code.co_filename, before[-1], code.co_qualname), len(lines) == 1
    found = list(_search(coro, frame, name))
    if found:
        return found[0], len(found) == 1
    definition = coro.cr_code
    return Place(definition.co_filename, definition.co_firstlineno, definition.co_qualname), False


def _calls(code: CodeType, name: str) -> list[int]:
    """Return the lines of a function that mention a name it may call."""
    if name not in code.co_names and name not in code.co_freevars + code.co_varnames:
        return []
    lines: list[int] = []
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        if step.positions is not None and step.positions.lineno is not None:
            line = step.positions.lineno
        if step.opname.startswith("LOAD") and step.argval == name and line not in lines:
            lines.append(line)
    return lines


def _search(coro: Any, frame: FrameType | None, name: str) -> Iterator[Place]:
    """Yield calls of a name in the functions of the coroutine's module."""
    names = coro.cr_frame.f_globals if coro.cr_frame is not None else {}
    for value in list(names.values()):
        members = [value, *vars(value).values()] if isinstance(value, type) else [value]
        for member in members:
            function = getattr(member, "__func__", member)
            if not isinstance(function, FunctionType) or function.__globals__ is not names:
                continue
            for code in _nested(function.__code__):
                for line in _calls(code, name):
                    yield Place(code.co_filename, line, code.co_qualname)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _nested(const)


def _finding(
    coro: Any, code: CodeType, place: Place | None, stack: RawStack, *, sure: bool
) -> Finding:
    possible = "" if sure else "Possible place, found by searching the source: "
    made = f"{at(place)}" if place is not None else ""
    inside = f" (called by {function_name(place)})" if place is not None else ""
    message = (
        f"{possible}The coroutine {coro.__qualname__}(){inside} was created{made} and destroyed "
        "without ever being awaited: none of its code ran."
    )
    finding = Finding(
        KIND,
        message,
        f"Write `await {coro.__name__}(...)`, or hand it to `asyncio.create_task()`; a callback of "
        "call_soon() and the like must be a plain function.",
        place,
        stack=shown(stack),
        possible=not sure,
    )
    definition = Place(code.co_filename, code.co_firstlineno, code.co_qualname)
    finding.related = related("defined", definition) + related("destroyed", frame_place(stack))
    return finding
