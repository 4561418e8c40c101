"""Which debug session the running code belongs to, and, in the own process, what a hit means.

`hit` is called from the condition of every breakpoint that a session sets in its own process, in
the thread that reached the line and with its variables. It decides for each session on its own;
what it finds is fetched by the connection when the debugger has reported the stop.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from .breakpoints import HIT_CONDITION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .session import SessionBreakpoint

# Set only in the context of code that opened a session; a nested session adds to it.
sessions: Final[ContextVar[tuple[str, ...]]] = ContextVar("asyncscope_debug_sessions", default=())
MAX_WAITING_HITS: Final = 1000

Place = tuple[str, int]
_lock = threading.Lock()
_points: dict[Place, tuple[SessionBreakpoint, ...]] = {}
_hits: dict[Place, deque[tuple[str, ...]]] = {}
_on_log: Callable[[SessionBreakpoint, str], None] | None = None


def current_session_id() -> str | None:
    """Return the innermost debug session of the running task, if it is in one."""
    found = sessions.get()
    return found[-1] if found else None


def watch(
    place: Place,
    breakpoints: tuple[SessionBreakpoint, ...],
    on_log: Callable[[SessionBreakpoint, str], None],
) -> None:
    """Say which breakpoints of sessions are at a line; none forgets the line."""
    global _on_log  # noqa: PLW0603  (one connection to the own process at a time)
    with _lock:
        _on_log = on_log
        if breakpoints:
            _points[place] = breakpoints
        else:
            _points.pop(place, None)
            _hits.pop(place, None)


def places(path: str) -> list[Place]:
    """Return the lines of a file that have breakpoints."""
    with _lock:
        return [place for place in _points if place[0] == path]


def take(place: Place) -> tuple[str, ...]:
    """Return the breakpoints (their keys) that the oldest unfetched hit of a line matched."""
    with _lock:
        waiting = _hits.get(place)
        return waiting.popleft() if waiting else ()


def belongs_to(session_id: str, stack: tuple[str, ...]) -> bool:
    """Say whether code in these sessions concerns a session.

    Code outside all sessions, such as a worker that was there before, concerns every session.
    """
    return not stack or session_id in stack


def hit(path: str, line: int, variables: Mapping[str, Any], names: dict[str, Any]) -> bool:
    """Return whether to stop at a line; called by the debugger for each passage."""
    stack = sessions.get()
    matched = tuple(
        point.key
        for point in _points.get((path, line), ())
        if belongs_to(point.session_id, stack) and _matches(point, variables, names)
    )
    if matched:
        with _lock:
            _hits.setdefault((path, line), deque(maxlen=MAX_WAITING_HITS)).append(matched)
    return bool(matched)


def _matches(point: SessionBreakpoint, variables: Mapping[str, Any], names: dict[str, Any]) -> bool:
    try:
        if point.condition and not eval(point.condition, names, variables):
            return False
    except Exception as exc:
        point.error = f"{type(exc).__name__}: {exc}"
        return False
    point.hits += 1
    if point.hit_condition and not hit_condition_holds(point.hit_condition, point.hits):
        return False
    if point.log_message is None:
        return True
    if _on_log is not None:
        _on_log(point, fill_in(point.log_message, variables, names))
    return False


def fill_in(message: str, variables: Mapping[str, Any], names: dict[str, Any]) -> str:
    """Return a log message with its `{expressions}` filled in."""
    try:
        return str(eval("f" + repr(message), names, variables))
    except Exception as exc:
        return f"{message} ({type(exc).__name__}: {exc})"


def hit_condition_holds(condition: str, hits: int) -> bool:
    """Say whether the passage with this number is one to stop at."""
    found = HIT_CONDITION.fullmatch(condition)
    if found is None:
        return False
    number = int(found["number"])
    compare: dict[str, Callable[[], bool]] = {
        ">=": lambda: hits >= number,
        "<=": lambda: hits <= number,
        ">": lambda: hits > number,
        "<": lambda: hits < number,
        "%": lambda: number > 0 and hits % number == 0,
    }
    return compare.get(found["sign"] or "==", lambda: hits == number)()


def condition_for(path: str, line: int) -> str:
    """Return the condition that a breakpoint of the own process gets."""
    return (
        "__import__('autoinstrument.debugger.current', fromlist=['hit'])"
        f".hit({path!r}, {line}, locals(), globals())"
    )
