"""One connection to one debugged process, shared by all sessions for that process.

debugpy serves a single client: what the sessions ask for goes through here, and what comes back is
given to those that it concerns. Everything runs in the link's home loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from . import current
from .errors import DebuggerError, NotConnected, NotStopped, RequestFailed
from .events import STOPPED, DebugEvent
from .link_breakpoints import MARK, MergedBreakpoints
from .model import Evaluation, StackFrame, Stop, integer, read_stop, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .client import AsyncDebugClient
    from .dap import Event, JsonObject
    from .hidden import Home
    from .model import Variable
    from .session import DebugSession, SessionBreakpoint
    from .transport import Subscription

_log = logging.getLogger(__name__)
_STACK_OF_SESSIONS: Final = (
    "__import__('autoinstrument.debugger.current', fromlist=['x']).sessions.get()"
)


class Link(MergedBreakpoints):
    """A connection and the sessions that use it.

    Attributes:
        home: Where all this runs.
        own_process: Whether the debugged process is this one.
        sessions: The open sessions, by id.
    """

    def __init__(
        self,
        home: Home,
        client: AsyncDebugClient,
        release: Callable[[], Awaitable[None]],
        *,
        own_process: bool,
        stop_timeout_s: float,
    ) -> None:
        """Take over an attached client; `release` is called after its end."""
        super().__init__(client, own_process=own_process)
        self.home = home
        self.lost = ""
        self._release = release
        self._stop_timeout_s = stop_timeout_s
        self._pausing: list[DebugSession] = []
        self._stepping: list[DebugSession] = []
        self._resumed = False  # whether somebody has ended the present stop
        self._holders: set[DebugSession] = set()  # for whom it lasts
        self._released = asyncio.Event()  # one of these has changed
        self._frame: int | None = None
        self._stops: asyncio.Queue[Stop] = asyncio.Queue()
        self._events = client.subscribe()
        self._workers = [
            asyncio.create_task(self._pump(self._events), name="asyncscope debug events"),
            asyncio.create_task(self._handle_stops(), name="asyncscope debug stops"),
        ]
        self._background: set[asyncio.Task[None]] = set()

    # -- sessions ------------------------------------------------------------------------------

    def add(self, session: DebugSession) -> None:
        """Let a session use the connection."""
        if self.lost:
            raise NotConnected(self.lost)
        self.sessions[session.session_id] = session
        session.link = self

    async def remove(self, session: DebugSession) -> None:
        """Take a session's breakpoints away and end the stop that it may hold."""
        self.sessions.pop(session.session_id, None)
        paths = {point.path for point in session.breakpoints.values()}
        session.breakpoints.clear()
        self._holders.discard(session)
        self._released.set()
        if self.lost:
            return
        for path in paths:
            await self.sync(path)
        if session.exception_filters:
            await self.sync_exceptions()

    async def close(self) -> None:
        """Disconnect; the process runs on."""
        for worker in (*self._workers, *self._background):
            worker.cancel()
        await asyncio.gather(*self._workers, *self._background, return_exceptions=True)
        try:
            await self.client.close()
        finally:
            for path in self._paths:
                self._forget(path)
            await self._release()

    # -- events --------------------------------------------------------------------------------

    async def _pump(self, events: Subscription) -> None:
        with events:
            async for event in events:
                self._take(event)
        await self._end("the debugged process is gone")

    def _take(self, event: Event) -> None:
        if event.event == STOPPED:
            self._stops.put_nowait(read_stop(event.body, 0))
        elif event.event == "output":
            self._spawn(self._output(text(event.body, "output"), event.body))
        elif event.event in ("continued", "thread"):
            self._spawn(self._tell_all(event.event, event.body))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell_all(self, name: str, body: JsonObject, reason: str = "") -> None:
        for session in tuple(self.sessions.values()):
            await session.deliver(
                DebugEvent(
                    name, session, thread_id=integer(body, "threadId"), text=reason, body=body
                )
            )

    async def _output(self, output: str, body: JsonObject) -> None:
        _, marked, rest = output.partition(MARK)
        key, _, message = rest.partition(MARK)
        point = self._point(key) if marked else None
        if point is not None:
            await self._deliver_log(point, message.rstrip("\n"))
        elif not marked and text(body, "category") in ("stdout", "stderr"):
            await self._tell_all("output", body, output)

    def _log_point(self, point: SessionBreakpoint, message: str) -> None:
        """Take a log point's text from the thread that reached it."""
        loop = self._workers[0].get_loop()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: self._spawn(self._deliver_log(point, message)))

    async def _deliver_log(self, point: SessionBreakpoint, message: str) -> None:
        session = self.sessions.get(point.session_id)
        if session is not None:
            await session.deliver(
                DebugEvent(
                    "output",
                    session,
                    file=point.path,
                    line=point.line,
                    breakpoint=point,
                    text=message,
                )
            )

    async def _end(self, reason: str) -> None:
        self.lost = reason
        self._end_stop()
        await self._tell_all("terminated", {}, reason)
        for session in self.sessions.values():
            session.state = "lost"

    # -- stops ---------------------------------------------------------------------------------

    async def _handle_stops(self) -> None:
        while True:
            stop = await self._stops.get()
            started = time.monotonic()
            try:
                await self._handle(stop)
            except DebuggerError as exc:
                if not self.lost:
                    _log.warning("a stop was ended early: %s", exc)
                    await self._resume_quietly()
            for session in self.sessions.values():
                took_ms = (time.monotonic() - started) * 1000
                session.counters.longest_stop_ms = max(session.counters.longest_stop_ms, took_ms)

    async def _handle(self, stop: Stop) -> None:
        self._resumed = False
        frames = await self.client.stack_trace(stop.thread_id, levels=1)
        frame = frames[0] if frames else None
        self._frame = frame.id if frame is not None else None
        events = await self._events_of(stop, frame)
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                handled = await asyncio.gather(*(event.session.deliver(event) for event in events))
                self._holders = self._holding(events, any(handled))
                while self._holders and not self._resumed:
                    self._released.clear()
                    await self._released.wait()
        except TimeoutError:
            _log.warning("a stop was ended after %s s", self._stop_timeout_s)
            for event in events:
                event.session.counters.stops_ended_by_timeout += 1
        finally:
            self._frame = None
            self._holders = set()
        if not self._resumed:
            await self._resume_quietly()

    def _holding(self, events: list[DebugEvent], handled: bool) -> set[DebugSession]:
        """Return the sessions for which a stop lasts until somebody continues it, or they close.

        None in the own process: who should continue, if not the handler.
        """
        if self.own_process or (handled and all(event.session.auto_continue for event in events)):
            return set()
        return {event.session for event in events if event.session.session_id in self.sessions}

    def _end_stop(self) -> None:
        """Note that the process runs again, or is gone."""
        self._resumed = True
        self._released.set()

    async def _resume_quietly(self) -> None:
        try:
            await self.client.continue_()
        except DebuggerError as exc:
            if not self.lost:
                _log.warning("the process could not be continued: %s", exc)

    async def _events_of(self, stop: Stop, frame: StackFrame | None) -> list[DebugEvent]:
        place = self._place(stop, frame)
        where = {
            "thread_id": stop.thread_id,
            "file": frame.path if frame is not None else "",
            "line": frame.line if frame is not None else 0,
            "function": frame.name if frame is not None else "",
        }

        def event(
            session: DebugSession, reason: str, point: SessionBreakpoint | None = None
        ) -> DebugEvent:
            return DebugEvent(
                STOPPED,
                session,
                reason,
                breakpoint=point,
                text=stop.text,
                **where,  # type: ignore[arg-type]  # four fields of their own types
            )

        if place is not None:
            return [
                event(self.sessions[point.session_id], "breakpoint", point)
                for point in await self._matching(place, frame)
                if point.session_id in self.sessions
            ]
        sessions, reason = await self._concerned(stop, frame)
        return [event(session, reason) for session in sessions]

    async def _concerned(
        self, stop: Stop, frame: StackFrame | None
    ) -> tuple[list[DebugSession], str]:
        """Return the sessions that asked for a stop that is not at a breakpoint."""
        waiting = {"pause": self._pausing, "step": self._stepping}.get(stop.reason)
        if waiting is not None:
            found = [session for session in waiting if session.session_id in self.sessions]
            waiting.clear()
            return found, stop.reason
        if stop.reason == "exception":
            stack = await self._sessions_of(frame)
            return [
                session
                for session in self.sessions.values()
                if session.exception_filters and current.belongs_to(session.session_id, stack)
            ], "exception"
        # A `breakpoint()` in the program, or a stop on a finding, concerns everybody.
        return list(self.sessions.values()), "breakpoint"

    async def _sessions_of(self, frame: StackFrame | None) -> tuple[str, ...]:
        if not self.own_process or frame is None:
            return ()
        with suppress(RequestFailed):
            answer = (await self.client.evaluate(_STACK_OF_SESSIONS, frame.id)).result
            return tuple(part.strip(" '\"") for part in answer.strip("()").split(",") if part)
        return ()

    # -- what sessions ask for -----------------------------------------------------------------

    async def evaluate(self, expression: str, frame_id: int | None) -> Evaluation:
        """Evaluate in a frame, by default that of the present stop."""
        return await self.client.evaluate(expression, frame_id or self._frame)

    async def stack_trace(self, thread_id: int | None) -> list[StackFrame]:
        """Return the stack of a thread, by default of the stopped one or the first."""
        if thread_id is None and self.client.stop is None:
            threads = await self.client.threads()
            if not threads:
                return []
            thread_id = threads[0].id
        return await self.client.stack_trace(thread_id)

    async def local_variables(self, frame_id: int | None) -> dict[str, Variable]:
        """Return a frame's local variables."""
        found = frame_id or self._frame
        if found is None:
            raise NotStopped("the process is not stopped")
        return await self.client.local_variables(found)

    async def pause(self, session: DebugSession) -> None:
        """Ask for a stop on behalf of a session."""
        self._pausing.append(session)
        await self.client.pause()

    async def resume(self) -> None:
        """End the present stop."""
        await self.client.continue_()
        self._end_stop()

    async def step(self, session: DebugSession, command: str) -> None:
        """End the present stop by a step on behalf of a session."""
        stop = self.client.stop
        if stop is None:
            raise NotStopped("the process is not stopped")
        self._stepping.append(session)
        await self.client.begin_step(command, stop.thread_id)
        self._end_stop()
