"""The things a debugger talks about: breakpoints, threads, frames, variables, stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dap import JsonObject


@dataclass(frozen=True, slots=True)
class BreakpointSpec:
    """A line breakpoint as it is asked for.

    Attributes:
        line: Counted from 1.
        condition: Stop only if this expression is true in the frame.
        hit_condition: `5`, `== 5`, `>= 5` or `% 4`: stop only at such a passage.
        log_message: Print this (with `{expressions}` filled in) and do not stop.
    """

    line: int
    condition: str | None = None
    hit_condition: str | None = None
    log_message: str | None = None

    def to_dap(self) -> JsonObject:
        """Return the entry for `setBreakpoints`."""
        fields = {
            "condition": self.condition,
            "hitCondition": self.hit_condition,
            "logMessage": self.log_message,
        }
        return {"line": self.line} | {key: text for key, text in fields.items() if text}


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A breakpoint as the debugger has it.

    Attributes:
        id: The debugger's number, which a stop repeats. It changes whenever a breakpoint of the
            same file is added or removed.
        line: Where it is now; it differs from the line asked for if that has no code.
        verified: Whether it can hit at all; if not, `message` says why.
    """

    id: int | None
    path: str
    line: int
    verified: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of the debuggee; threads hidden from the debugger are never listed."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class StackFrame:
    """A frame of a thread's stack; `id` is valid until the process runs on."""

    id: int
    name: str
    path: str
    line: int
    subtle: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A group of variables of a frame (`Locals`, `Globals`)."""

    name: str
    variables_reference: int
    expensive: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; a `variables_reference` other than 0 leads to its parts."""

    name: str
    value: str
    type: str = ""
    variables_reference: int = 0
    evaluate_name: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of `evaluate`: text, as the debuggee represents the value."""

    result: str
    type: str = ""
    variables_reference: int = 0


@dataclass(frozen=True, slots=True)
class ExceptionInfo:
    """The exception at which a thread stopped."""

    type: str
    description: str
    break_mode: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of the debuggee.

    Attributes:
        reason: `breakpoint`, `step`, `pause`, `exception`, `function breakpoint`, ...
        thread_id: The thread that caused it; the others are suspended with it.
        breakpoint_ids: Numbers of the breakpoints hit (see `Breakpoint.id`).
        text: The debugger's addition, for an exception its type.
        serial: Counts the stops of this connection.
    """

    reason: str
    thread_id: int
    breakpoint_ids: tuple[int, ...] = ()
    text: str = ""
    serial: int = 0


@dataclass(slots=True)
class ExceptionFilters:
    """Which exceptions stop the program: `raised`, `uncaught`, `userUnhandled`.

    Attributes:
        types: The exception types it is limited to; all if empty.
    """

    filters: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def read_breakpoint(raw: JsonObject, path: str, asked_line: int) -> Breakpoint:
    """Return a breakpoint from an answer to `setBreakpoints`."""
    number, line, message = raw.get("id"), raw.get("line"), raw.get("message")
    return Breakpoint(
        id=number if isinstance(number, int) else None,
        path=path,
        line=line if isinstance(line, int) else asked_line,
        verified=raw.get("verified") is True,
        message=message if isinstance(message, str) else "",
    )


def read_frame(raw: JsonObject) -> StackFrame:
    """Return a frame from an answer to `stackTrace`."""
    source = raw.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return StackFrame(
        id=integer(raw, "id"),
        name=text(raw, "name"),
        path=path if isinstance(path, str) else "",
        line=integer(raw, "line"),
        subtle=raw.get("presentationHint") == "subtle",
    )


def read_stop(body: JsonObject, serial: int) -> Stop:
    """Return a stop from a `stopped` event."""
    numbers = body.get("hitBreakpointIds")
    return Stop(
        reason=text(body, "reason"),
        thread_id=integer(body, "threadId"),
        breakpoint_ids=tuple(n for n in numbers if isinstance(n, int))
        if isinstance(numbers, list)
        else (),
        text=text(body, "text"),
        serial=serial,
    )


def objects(body: JsonObject, key: str) -> list[JsonObject]:
    """Return the objects of a list in a message, leaving out what is none."""
    found = body.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def text(raw: JsonObject, key: str) -> str:
    """Return a text of a message, `""` if there is none."""
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def integer(raw: JsonObject, key: str) -> int:
    """Return a number of a message, 0 if there is none."""
    value = raw.get(key)
    return value if isinstance(value, int) else 0
