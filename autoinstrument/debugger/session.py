"""`DebugSession`: what one user of a debugger has set and sees."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .breakpoints import check_breakpoint, full_path
from .errors import BreakpointRefused, DebuggerError, DebugTimeout, SessionClosed
from .events import STOPPED, DebugEvent, Handlers
from .model import BreakpointSpec, Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import TypeVar

    from .events import EventHandler
    from .link import Link
    from .model import StackFrame, Variable
    from .tasks import TaskInfo

    T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SessionBreakpoint:
    """A breakpoint of one session.

    Attributes:
        key: Names it within the process, for `remove_breakpoint`.
        line: Where it is; a line without code is moved to the next one that has some.
        verified: Whether the debugger took it.
        hits: How often its line was passed with its condition true.
        error: What its condition raised at the latest failure.
    """

    key: str
    session_id: str
    path: str
    line: int
    condition: str | None = None
    hit_condition: str | None = None
    log_message: str | None = None
    verified: bool = False
    message: str = ""
    hits: int = 0
    error: str = ""

    def spec(self) -> BreakpointSpec:
        """Return it as the debugger takes it."""
        return BreakpointSpec(self.line, self.condition, self.hit_condition, self.log_message)


@dataclass(slots=True)
class SessionCounters:
    """What a session has seen."""

    stops: int = 0
    stops_ended_by_timeout: int = 0
    events: int = 0
    evaluations: int = 0
    longest_stop_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as `list_sessions` shows it.

    Attributes:
        state: `open`, `closed` or `lost` (the debugged process is gone).
    """

    session_id: str
    name: str
    state: str
    metadata: dict[str, Any]
    opened: float
    closed: float | None
    breakpoints: int
    stops: int
    events: int
    handler_failures: int


@dataclass(slots=True)
class SessionLimits:
    """Bounds of a session, from the configuration."""

    max_breakpoints: int = 100
    keep_events: int = 1000
    allow_evaluate: bool = True
    log_events: bool = False


@dataclass(slots=True, eq=False)
class DebugSession:
    """One debug session; made by `RemoteDebugger.debug_session`.

    Several sessions may be open for one process at the same time. Each sees its own breakpoints,
    stops and events only. All methods may be called from the program's loop and from handlers.
    """

    session_id: str
    name: str
    metadata: dict[str, Any]
    limits: SessionLimits = field(default_factory=SessionLimits)
    auto_continue: bool = True
    state: str = "open"
    opened: float = field(default_factory=time.time)
    closed: float | None = None
    counters: SessionCounters = field(default_factory=SessionCounters)
    handlers: Handlers = field(default_factory=Handlers)
    breakpoints: dict[str, SessionBreakpoint] = field(default_factory=dict)
    events: deque[DebugEvent] = field(init=False)
    exception_filters: tuple[str, ...] = ()
    exception_types: tuple[str, ...] = ()
    link: Link | None = None
    shared_handlers: Handlers | None = None
    _serial: int = 0
    _waiting: list[asyncio.Queue[DebugEvent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Bound the history."""
        self.events = deque(maxlen=self.limits.keep_events)

    # -- breakpoints ---------------------------------------------------------------------------

    async def set_breakpoint(
        self,
        file: str | Path,
        line: int,
        condition: str | None = None,
        *,
        hit_condition: str | None = None,
        log_message: str | None = None,
    ) -> SessionBreakpoint:
        """Set a breakpoint for this session only.

        In the own process it is reached by code of this session, and by code that belongs to no
        session; another session's code runs through. The debugger takes a file's breakpoints as a
        whole: a line that is passed while another one is being set there may be missed.

        Raises:
            BreakpointRefused: it could never hit, or the session has too many.
        """
        path = full_path(file)
        spec = check_breakpoint(path, BreakpointSpec(line, condition, hit_condition, log_message))
        if len(self.breakpoints) >= self.limits.max_breakpoints:
            raise BreakpointRefused(f"a session may have {self.limits.max_breakpoints} breakpoints")
        self._serial += 1
        point = SessionBreakpoint(
            f"{self.session_id}/{self._serial}",
            self.session_id,
            path,
            spec.line,
            condition,
            hit_condition,
            log_message,
        )
        if self.state == "open" and self.link is None:  # debugging is switched off
            return point
        link = self._open_link()
        self.breakpoints[point.key] = point
        try:
            await link.home.run(link.sync(path))
        except BaseException:
            self.breakpoints.pop(point.key, None)
            raise
        return point

    async def remove_breakpoint(self, breakpoint: SessionBreakpoint | str) -> bool:  # noqa: A002
        """Remove a breakpoint of this session; say whether it was there."""
        key = breakpoint if isinstance(breakpoint, str) else breakpoint.key
        point = self.breakpoints.pop(key, None)
        if point is None:
            return False
        if self.link is not None:
            await self.link.home.run(self.link.sync(point.path))
        return True

    async def set_exception_breakpoints(self, *filters: str, types: tuple[str, ...] = ()) -> None:
        """Stop at exceptions (`raised`, `uncaught`, `userUnhandled`); none switches off."""
        self.exception_filters, self.exception_types = filters, types
        if self.link is not None:
            await self.link.home.run(self.link.sync_exceptions())

    # -- events --------------------------------------------------------------------------------

    def register_event_handler(self, event: str, handler: EventHandler) -> Callable[[], None]:
        """Call an async function for events: a type or reason of `DebugEvent`, `*` for all.

        Several handlers may be registered; one that fails is logged and harms nothing. While the
        own process is stopped handlers run in a thread that is not: they must not wait for
        anything of the program's loop. Returns the function that unregisters.
        """
        return self.handlers.add(event, handler)

    async def wait_for_event(self, event: str, timeout_s: float) -> DebugEvent:
        """Wait for the next event of that type or reason.

        Raises:
            DebugTimeout: it did not come in time.
        """
        link = self._open_link()
        return await link.home.run(self._wait(event, timeout_s))

    async def _wait(self, event: str, timeout_s: float) -> DebugEvent:
        queue: asyncio.Queue[DebugEvent] = asyncio.Queue()
        self._waiting.append(queue)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await queue.get()
                    if event in found.names:
                        return found
        except TimeoutError as exc:
            raise DebugTimeout(f"no {event!r} event within {timeout_s} s") from exc
        finally:
            self._waiting.remove(queue)

    async def deliver(self, event: DebugEvent) -> bool:
        """Record an event and call its handlers; say whether there were any."""
        self.counters.events += 1
        self.counters.stops += event.type == STOPPED
        self.events.append(event)
        if self.limits.log_events:
            _log.info("%s: %r", self.name, event)
        for queue in self._waiting:
            queue.put_nowait(event)
        found = False
        for handlers in (self.handlers, self.shared_handlers):
            if handlers is not None and event in handlers:
                found = True
                await handlers.dispatch(event)
        return found

    # -- looking and moving --------------------------------------------------------------------

    async def evaluate_expression(self, expression: str, frame_id: int | None = None) -> Evaluation:
        """Evaluate in a frame; by default the stopped one, globally while the process runs.

        Raises:
            RequestFailed: the expression raised.
        """
        if not self.limits.allow_evaluate:
            raise DebuggerError("security.allow_evaluate is off")
        self.counters.evaluations += 1
        return await self._run(lambda link: link.evaluate(expression, frame_id), Evaluation(""))

    async def get_stack_trace(self, thread_id: int | None = None) -> list[StackFrame]:
        """Return a thread's stack, innermost first; of the stopped thread by default."""
        nothing: list[StackFrame] = []
        return await self._run(lambda link: link.stack_trace(thread_id), nothing)

    async def get_variables(self, frame_id: int | None = None) -> dict[str, Variable]:
        """Return the local variables of a frame, by default the stopped one."""
        nothing: dict[str, Variable] = {}
        return await self._run(lambda link: link.local_variables(frame_id), nothing)

    async def async_tasks(self) -> list[TaskInfo]:
        """Return all asyncio tasks and where they are parked, stopped or not."""
        nothing: list[TaskInfo] = []
        return await self._run(lambda link: link.client.async_tasks(), nothing)

    async def awaiting_chain(self) -> list[TaskInfo]:
        """Return the stopped task and the tasks that wait for it, one for the other."""
        nothing: list[TaskInfo] = []
        return await self._run(lambda link: link.client.awaiting_chain(), nothing)

    async def pause(self) -> None:
        """Ask for a stop at the next line of user code; armed when this returns."""
        await self._run(lambda link: link.pause(self), None)

    async def continue_execution(self) -> None:
        """End the stop; nothing happens if the process runs."""
        await self._run(lambda link: link.resume(), None)

    async def step_over(self) -> None:
        """Run to the next line; the stop arrives as an event with the reason `step`."""
        await self._run(lambda link: link.step(self, "next"), None)

    async def step_in(self) -> None:
        """Run to the next line, in a called function if there is one."""
        await self._run(lambda link: link.step(self, "stepIn"), None)

    async def step_out(self) -> None:
        """Run to the line after the call of this function."""
        await self._run(lambda link: link.step(self, "stepOut"), None)

    def info(self) -> SessionInfo:
        """Return what is known about the session."""
        return SessionInfo(
            session_id=self.session_id,
            name=self.name,
            state=self.state,
            metadata=dict(self.metadata),
            opened=self.opened,
            closed=self.closed,
            breakpoints=len(self.breakpoints),
            stops=self.counters.stops,
            events=self.counters.events,
            handler_failures=self.handlers.failures,
        )

    async def _run(self, work: Callable[[Link], Coroutine[Any, Any, T]], nothing: T) -> T:
        if self.state == "open" and self.link is None:
            return nothing
        link = self._open_link()
        return await link.home.run(work(link))

    def _open_link(self) -> Link:
        if self.state != "open" or self.link is None:
            raise SessionClosed(f"debug session {self.name!r} is {self.state}")
        return self.link
