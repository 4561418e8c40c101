"""`DebugEvent`, and the handlers of a session."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .errors import DebuggerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .session import DebugSession, SessionBreakpoint

    EventHandler = Callable[["DebugEvent"], Awaitable[None]]

_log = logging.getLogger(__name__)

STOPPED: Final = "stopped"
EVENT_TYPES: Final = frozenset(
    {
        "*",
        STOPPED,
        "breakpoint",
        "pause",
        "step",
        "exception",
        "continued",
        "output",
        "thread",
        "terminated",
    }
)


@dataclass(frozen=True, slots=True)
class DebugEvent:
    """Something that happened in the debugged process and concerns a session.

    Attributes:
        type: `stopped`, `continued`, `output`, `thread` or `terminated`.
        reason: Of a stop: `breakpoint`, `pause`, `step`, `exception`.
        session: The session; its methods may be used in a handler.
        timestamp: Seconds since 1970.
        breakpoint: The breakpoint of this session that was hit.
        text: The output, the exception, why the process is gone.
    """

    type: str
    session: DebugSession = field(repr=False, compare=False)
    reason: str = ""
    thread_id: int = 0
    file: str = ""
    line: int = 0
    function: str = ""
    breakpoint: SessionBreakpoint | None = None
    text: str = ""
    body: Mapping[str, object] = field(default_factory=dict, repr=False)
    timestamp: float = field(default_factory=time.time)

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.session.session_id

    @property
    def names(self) -> tuple[str, ...]:
        """Under which names handlers get this event."""
        return ("*", self.type, self.reason) if self.reason else ("*", self.type)


class Handlers:
    """The handlers of one session or of a debugger; a failing one is logged and harms nothing."""

    def __init__(self) -> None:
        """Start without any."""
        self.failures = 0
        self._by_name: dict[str, list[EventHandler]] = {}

    def add(self, name: str, handler: EventHandler) -> Callable[[], None]:
        """Register a handler, and return the function that takes it away again."""
        if name not in EVENT_TYPES:
            known = ", ".join(sorted(EVENT_TYPES))
            raise DebuggerError(f"event type must be one of {known}, not {name!r}")
        self._by_name.setdefault(name, []).append(handler)

        def remove() -> None:
            found = self._by_name.get(name, [])
            if handler in found:
                found.remove(handler)

        return remove

    def __contains__(self, event: DebugEvent) -> bool:
        """Say whether anybody wants the event."""
        return any(self._by_name.get(name) for name in event.names)

    async def dispatch(self, event: DebugEvent) -> None:
        """Call the handlers of an event one after the other."""
        for name in event.names:
            for handler in tuple(self._by_name.get(name, ())):
                await self._call(handler, event)

    async def _call(self, handler: EventHandler, event: DebugEvent) -> None:
        try:
            outcome = handler(event)
            if asyncio.iscoroutine(outcome) or isinstance(outcome, asyncio.Future):
                await outcome
        except asyncio.CancelledError:
            raise
        except Exception:
            self.failures += 1
            _log.exception("a handler of %r failed", event)
