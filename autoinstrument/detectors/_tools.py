"""What all detectors need to put a finding into words."""

import ast
import linecache
from functools import lru_cache
from types import CodeType, FrameType

from autoinstrument.findings import Related
from autoinstrument.places import Place, first_place, is_user_file, line_of, resolve, user_places
from autoinstrument.records import CancelOrigin, Hold, RawStack, ScopeRecord, TaskRecord
from autoinstrument.stacks import ASYNC_GENERATOR


def task_text(record: TaskRecord | None) -> str:
    """Return `task "name" (function)`."""
    if record is None:
        return "code outside any task"
    return named_task(record.name, record.qualname)


def opening(record: TaskRecord | None) -> str:
    """Return `task_text` for the beginning of a sentence; names keep their letters."""
    text = task_text(record)
    return text[0].upper() + text[1:]


def named_task(name: str, qualname: str = "") -> str:
    """Return `task "name" (function)` from its parts."""
    return f'task "{name}"' + (f" ({qualname})" if qualname else "")


def at(place: Place | None) -> str:
    """Return ` at file.py:41 in connect()` or nothing."""
    if place is None:
        return ""
    if place.function in {"<module>", ""}:
        return f" at {place.short}"
    return f" at {place.short} in {function_name(place)}"


def function_name(place: Place) -> str:
    """Return `connect()` for a qualified name such as `main.<locals>.connect`."""
    name = place.function.replace(".<locals>", "").rsplit(".<", 1)[0]
    return f"{name}()"


def frame_place(stack: RawStack) -> Place | None:
    """Return the line to open first."""
    return first_place(stack)


def shown(stack: RawStack, most: int = 12) -> list[Place]:
    """Return a stack for the report: the user's frames, or all when there are none."""
    return (user_places(stack) or [resolve(raw) for raw in stack])[:most]


def created(record: TaskRecord | None) -> Place | None:
    """Return where a task was created, or its function when that is not known."""
    if record is None:
        return None
    place = first_place(record.stack)
    if place is not None and (is_user_file(place.file) or record.code is None):
        return place
    if record.code is not None and is_user_file(record.code.co_filename):
        return Place(record.code.co_filename, record.code.co_firstlineno, record.code.co_qualname)
    return place


def is_users_task(record: TaskRecord) -> bool:
    """Whether the program's own code is in a task's creation or is what the task runs."""
    if record.code is not None and is_user_file(record.code.co_filename):
        return True
    return any(is_user_file(code.co_filename) for code, _ in record.stack)


def scope_text(record: ScopeRecord) -> str:
    """Return what a user calls this scope."""
    names = [code.co_name for code, _ in record.stack[:3]]
    qualnames = [code.co_qualname for code, _ in record.stack[:2]]
    if record.kind == "anyio.CancelScope":
        if "fail_after" in names or "fail_at" in names:
            return "anyio.fail_after() deadline"
        if "TaskGroup.__aenter__" in qualnames:
            return "anyio task group"
        return "anyio cancel scope"
    if record.kind == "trio.CancelScope":
        return "trio nursery" if "NurseryManager.__aenter__" in qualnames else "trio cancel scope"
    return f"{record.kind} block" if record.kind == "asyncio.timeout" else record.kind


_HANDED_OVER = {
    "timer": " of a timer set",
    "threadsafe": " sent to the loop",
    "signal": " in the handler of a signal, set",
}


def origin_text(origin: CancelOrigin) -> str:
    """Return who cancelled, from where, in words."""
    place = first_place(origin.stack)
    by = f' by task "{origin.by_task}"' if origin.by_task else ""
    if origin.by_scope is not None:
        entered = first_place(origin.by_scope.stack)
        what = scope_text(origin.by_scope)
        why = "the deadline of the " if origin.by_scope.expired_ns else "the "
        return f"{why}{what} entered{at(entered)}"
    if origin.via == "deadline":
        return f"a deadline{at(place)}"
    if origin.via == "shutdown":
        return "asyncio.run() at the end of the program"
    if origin.via == "SIGINT":
        return "Ctrl-C"
    handed = _HANDED_OVER.get(origin.via, "")
    return f"cancel(){handed}{at(place)}{by}"


def origin_related(origin: CancelOrigin) -> list[Related]:
    """Return the places that belong to a cancellation."""
    found = []
    if origin.by_scope is not None:
        entered = first_place(origin.by_scope.stack)
        if entered is not None:
            found.append(Related("deadline or scope entered", entered, origin.by_scope.owner_name))
    place = first_place(origin.stack)
    if place is not None and is_user_file(place.file):
        found.append(Related("cancelled", place, origin.by_task))
    return found


def related(role: str, place: Place | None, task: str = "") -> list[Related]:
    """Return a related place as a list, empty when the place is not known."""
    return [Related(role, place, task)] if place is not None else []


def taken_related(role: str, hold: Hold, task: str) -> list[Related]:
    """Return where a lock was taken; if that is not known, where it was taken before."""
    if hold.stack:
        return related(role, frame_place(hold.stack), task)
    places = [frame_place(stack) for stack in hold.earlier]
    return [Related("taken before", place) for place in places if place is not None]


def functions_of(stack: RawStack) -> list[str]:
    """Return the names of the user's functions on a stack, innermost first."""
    names = []
    for code, _ in stack:
        if is_user_file(code.co_filename) and code.co_name not in names:
            names.append(code.co_name)
    return names


def generator_codes(stack: RawStack) -> list[CodeType]:
    """Return the code of asynchronous generators on a stack, innermost first."""
    return [code for code, _ in stack if code.co_flags & ASYNC_GENERATOR]


def frame_line(frame: FrameType) -> Place:
    """Return the place where a frame stands."""
    return resolve((frame.f_code, frame.f_lasti))


_CLOSERS = frozenset({"__aexit__", "__exit__", "aclose", "close"})


@lru_cache(maxsize=64)
def _tree(filename: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _clean_up_lines(filename: str) -> frozenset[int]:
    """Return all lines inside an `except` handler or a `finally` block of a file."""
    tree = _tree(filename)
    lines: set[int] = set()
    if tree is None:
        return frozenset()
    for node in ast.walk(tree):
        blocks: list[list[ast.stmt]] = []
        if isinstance(node, ast.Try | ast.TryStar):
            blocks = [*(handler.body for handler in node.handlers), node.finalbody]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in _CLOSERS:
            blocks = [node.body]
        for block in blocks:
            for statement in block:
                lines.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return frozenset(lines)


def in_clean_up(stack: RawStack) -> bool:
    """Whether any frame of a parked task stands in an `except` handler or a `finally` block."""
    return any(
        line_of(code, lasti) in _clean_up_lines(code.co_filename)
        for code, lasti in stack
        if not code.co_filename.startswith("<")
    )
