"""The agent's one tool of `sys.monitoring` (PEP 669); nothing happens here before Python 3.12.

Events are local to code objects where the interpreter allows it: calls in functions that
mention `cancel`, and the return of the root coroutine of each task. PY_UNWIND can
only be had for all code before Python 3.15; it fires when a frame is left by an exception.
PY_THROW, when one is thrown into a frame, fires for each frame that it passes later, too: nobody
is called before it can tell something.
"""

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

from autoinstrument import env

# 0 is the debugger's, 1 coverage's, 2 a profiler's; hypothesis takes 3, ddtrace's profiler 4.
_CANDIDATES: Final = (5, 4, 3)
_NAME: Final = "asyncscope"
_state: dict[str, int] = {}
_watched: list[CodeType] = []  # code objects with events of ours
_callbacks: list[int] = []
_monitoring: Any = getattr(sys, "monitoring", None)
DISABLE: Final[Any] = getattr(_monitoring, "DISABLE", None)


def tool() -> int | None:
    """Return our tool number, taking a free one at the first call; None when there is none."""
    if not env.HAS_MONITORING:
        return None
    if "tool" in _state:
        return _state["tool"]
    for number in _CANDIDATES:
        try:
            _monitoring.use_tool_id(number, _NAME)
        except ValueError:
            continue
        _state["tool"] = number
        return number
    return None


def observe_calls(called: Callable[[CodeType, int, Any, Any], Any]) -> bool:
    """Observe calls made by watched code; see `watch_calls`."""
    number = tool()
    if number is None:
        return False
    events = _monitoring.events
    _register(number, events.CALL, called)
    return True


def watch_calls(code: CodeType) -> None:
    """Ask for the calls made by one code object."""
    if "tool" in _state:
        _local(code, _monitoring.events.CALL)


def observe_ends(
    returned: Callable[[CodeType, int, Any], Any],
    unwound: Callable[[CodeType, int, BaseException], Any],
) -> bool:
    """Observe returns of watched code, and frames left by an exception."""
    number = tool()
    if number is None:
        return False
    events = _monitoring.events
    _register(number, events.PY_RETURN, returned)
    _register(number, events.PY_UNWIND, unwound)
    _enable(events.PY_UNWIND | events.PY_THROW)
    return True


def observe_throws(thrown: Callable[[CodeType, int, BaseException], Any]) -> None:
    """Observe frames entered by an exception, from now on; once is enough.

    The event itself is on before: a suspended frame would learn of it when it goes on, too late.
    """
    event = _monitoring.events.PY_THROW
    if "tool" in _state and event not in _callbacks:
        _register(_state["tool"], event, thrown)


def watch_return(code: CodeType) -> None:
    """Ask for the returns of one code object; once is enough."""
    if "tool" in _state:
        _local(code, _monitoring.events.PY_RETURN)


def _register(number: int, event: int, callback: Callable[..., Any]) -> None:
    _monitoring.register_callback(number, event, callback)
    _callbacks.append(event)


def _enable(events: int) -> None:
    number = _state["tool"]
    _monitoring.set_events(number, _monitoring.get_events(number) | events)


def _local(code: CodeType, event: int) -> None:
    number = _state["tool"]
    events = _monitoring.get_local_events(number, code)
    if not events & event:
        _monitoring.set_local_events(number, code, events | event)
        _watched.append(code)


def release() -> None:
    """Give the tool back as it was: no events, no callbacks, for whoever takes it next."""
    number = _state.pop("tool", None)
    if number is None:
        return
    _monitoring.set_events(number, 0)
    for code in _watched:
        _monitoring.set_local_events(number, code, 0)
    _watched.clear()
    for event in _callbacks:
        _monitoring.register_callback(number, event, None)
    _callbacks.clear()
    _monitoring.free_tool_id(number)
