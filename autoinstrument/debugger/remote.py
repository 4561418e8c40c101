"""`RemoteDebugger`: debug sessions by program, for another process or for this one.

```python
debugger = RemoteDebugger()  # this process; RemoteDebugger("127.0.0.1", 5678) for another


async def on_hit(event):
    for frame in await event.session.get_stack_trace():
        print(frame.path, frame.line, frame.name)
    print(await event.session.evaluate_expression("order.total"))


async with debugger.debug_session("orders") as session:
    session.register_event_handler("breakpoint", on_hit)
    await session.set_breakpoint("orders.py", 41, condition="order.total < 0")
    await handle_orders()
```

At a breakpoint of the own process the loop's thread stands still while the handlers run in a thread
of their own; afterwards the program continues by itself. Another process stays stopped, if there is
no handler, until `continue_execution` or for `stop_timeout_s`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from . import current
from .client import AsyncDebugClient, ClientOptions
from .config import DebugConfig, load_debug_config
from .errors import DebuggerError, SessionClosed
from .events import Handlers
from .hidden import CallersLoop, HiddenLoop, finish
from .link import Link
from .log_setup import apply_logging
from .security import check_host
from .session import DebugSession, SessionInfo, SessionLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from .events import EventHandler
    from .hidden import Home
    from .model import Evaluation, StackFrame
    from .session import SessionBreakpoint

_log = logging.getLogger(__name__)
_LINE: Final = re.compile(r"(?P<file>.+):(?P<line>\d+)(?:\s+if\s+(?P<condition>.+))?")
# One process has one debugger, so all RemoteDebuggers for the own process share the connection.
_hidden: Final = HiddenLoop()
_numbers: Final = itertools.count(1)


class _Connection:
    """The link to one process, opened with its first session and closed with its last."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.users = 0
        self.pid = 0
        self.lock: asyncio.Lock | None = None


_own: _Connection = _Connection()


class RemoteDebugger:
    """Debug sessions for one process.

    With `port`, the process that listens there; without, this one. Nothing is opened before the
    first session, and nothing stays open after the last.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        config: DebugConfig | str | os.PathLike[str] | None = None,
    ) -> None:
        """Take settings, or the path of a `debug_config.yaml`; arguments win over it."""
        if config is None or isinstance(config, DebugConfig):
            self.config = config or DebugConfig()
        else:
            self.config = load_debug_config(os.fspath(config))
        settings = self.config.remote_debugging
        self.host = host if host is not None else settings.host
        self.port = port if port is not None else settings.port
        self.own_process = not self.port
        self.handlers = Handlers()
        self._sessions: dict[str, DebugSession] = {}
        self._closed: OrderedDict[str, SessionInfo] = OrderedDict()
        self._opened_count = 0
        self._connection = _own if self.own_process else _Connection()
        apply_logging(self.config.logging)

    # -- sessions ------------------------------------------------------------------------------

    @asynccontextmanager
    async def debug_session(
        self,
        name: str,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        auto_continue: bool = True,
    ) -> AsyncIterator[DebugSession]:
        """Open a session for the block, and clean it up however the block ends.

        Within the block, and in tasks started there, it is the current session. With
        `auto_continue=False` another process stays stopped after its handlers have run.

        Raises:
            DebuggerBusy: somebody else debugs the process.
            DebuggerError: too many sessions, or the id is taken.
        """
        session = await self.open_session(name, session_id, metadata, auto_continue=auto_continue)
        token = current.sessions.set((*current.sessions.get(), session.session_id))
        try:
            yield session
        finally:
            try:
                current.sessions.reset(token)
            except ValueError:  # the block was left in another context
                _log.warning("session %r was left in another task than entered", name)
            await self.close_session(session.session_id)

    async def open_session(
        self,
        name: str,
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        auto_continue: bool = True,
    ) -> DebugSession:
        """Open a session that lasts until `close_session`; see `debug_session`."""
        limits = self.config.sessions
        identity = session_id or f"{name}-{os.getpid()}-{next(_numbers)}"
        if identity in self._sessions:
            raise DebuggerError(f"a session with the id {identity!r} is open already")
        if len(self._sessions) >= limits.max_sessions:
            raise DebuggerError(f"{limits.max_sessions} sessions are open, which is the limit")
        session = DebugSession(
            identity,
            name,
            {**limits.metadata, **(metadata or {})},
            SessionLimits(
                self.config.breakpoints.max_per_session,
                limits.keep_events,
                self.config.security.allow_evaluate,
                self.config.logging.events,
            ),
            auto_continue,
            shared_handlers=self.handlers,
        )
        self._sessions[identity] = session
        try:
            if self.config.remote_debugging.enabled:
                await self._join(session)
                await self._apply_configured(session)
        except BaseException:
            await self.close_session(identity)
            raise
        self._opened_count += 1
        return session

    async def close_session(self, session_id: str) -> bool:
        """Close a session, in bounded time and also under cancellation; say whether it was open."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        limit_s = self.config.sessions.close_timeout_s
        try:
            await finish(self._leave(session), limit_s)
        except (TimeoutError, DebuggerError) as exc:
            _log.warning("session %r was not closed in good order: %s", session.name, exc)
        finally:
            session.link = None
            session.state = "lost" if session.state == "lost" else "closed"
            session.closed = (
                session.events[-1].timestamp if session.state == "lost" else time.time()
            )
            self._remember(session.info())
        return True

    async def close_all_sessions(self) -> int:
        """Close all sessions of this debugger and return how many there were."""
        identities = list(self._sessions)
        for identity in identities:
            await self.close_session(identity)
        return len(identities)

    def _remember(self, info: SessionInfo) -> None:
        self._closed[info.session_id] = info
        while len(self._closed) > self.config.sessions.keep_closed:
            self._closed.popitem(last=False)

    @property
    def current_session(self) -> DebugSession | None:
        """The innermost open session of this debugger that the running task is in."""
        for identity in reversed(current.sessions.get()):
            if identity in self._sessions:
                return self._sessions[identity]
        return None

    def get_session_info(self, session_id: str) -> SessionInfo:
        """Return what is known about a session, open or closed.

        Raises:
            DebuggerError: there was no such session.
        """
        if session_id in self._sessions:
            return self._sessions[session_id].info()
        if session_id in self._closed:
            return self._closed[session_id]
        raise DebuggerError(f"no session has the id {session_id!r}")

    def list_sessions(self, *, closed: bool = False) -> list[SessionInfo]:
        """Return the open sessions, and with `closed` those that ended as well."""
        ended = list(self._closed.values()) if closed else []
        return ended + [session.info() for session in self._sessions.values()]

    def get_statistics(self) -> dict[str, Any]:
        """Return counters over all sessions of this debugger."""
        infos = self.list_sessions(closed=True)
        return {
            "own_process": self.own_process,
            "connected": self._connection.link is not None,
            "sessions_open": len(self._sessions),
            "sessions_opened": self._opened_count,
            "sessions_lost": sum(info.state == "lost" for info in infos),
            "breakpoints": sum(info.breakpoints for info in infos if info.state == "open"),
            "stops": sum(info.stops for info in infos),
            "events": sum(info.events for info in infos),
            "handler_failures": self.handlers.failures
            + sum(info.handler_failures for info in infos),
        }

    # -- the current session -------------------------------------------------------------------

    async def set_breakpoint(
        self,
        file: str | Path,
        line: int,
        condition: str | None = None,
        *,
        hit_condition: str | None = None,
        log_message: str | None = None,
    ) -> SessionBreakpoint:
        """Set a breakpoint in the current session."""
        return await self._current().set_breakpoint(
            file, line, condition, hit_condition=hit_condition, log_message=log_message
        )

    async def remove_breakpoint(self, breakpoint: SessionBreakpoint | str) -> bool:  # noqa: A002
        """Remove a breakpoint of the current session."""
        return await self._current().remove_breakpoint(breakpoint)

    async def evaluate_expression(self, expression: str, frame_id: int | None = None) -> Evaluation:
        """Evaluate in the current session."""
        return await self._current().evaluate_expression(expression, frame_id)

    async def get_stack_trace(self, thread_id: int | None = None) -> list[StackFrame]:
        """Return a stack in the current session."""
        return await self._current().get_stack_trace(thread_id)

    async def pause(self) -> None:
        """Ask for a stop in the current session."""
        await self._current().pause()

    async def continue_execution(self) -> None:
        """End the stop in the current session."""
        await self._current().continue_execution()

    def register_event_handler(self, event: str, handler: EventHandler) -> Callable[[], None]:
        """Call an async function for events of all sessions of this debugger."""
        return self.handlers.add(event, handler)

    def _current(self) -> DebugSession:
        session = self.current_session
        if session is None:
            raise SessionClosed("no debug session is open in this task; use debug_session(...)")
        return session

    # -- the connection ------------------------------------------------------------------------

    def _home(self) -> Home:
        if not self.own_process:
            link = self._connection.link
            return link.home if link is not None else CallersLoop()
        _hidden.start()
        return _hidden

    async def _join(self, session: DebugSession) -> None:
        home = self._home()
        await home.run(self._join_there(session, home))

    async def _join_there(self, session: DebugSession, home: Home) -> None:
        connection = self._connection
        if connection.pid != os.getpid():  # new, or inherited by a fork
            connection.pid, connection.link, connection.users = os.getpid(), None, 0
            connection.lock = asyncio.Lock()
        async with connection.lock or asyncio.Lock():
            if connection.link is not None and connection.link.lost:
                await connection.link.close()
                connection.link, connection.users = None, 0
            if connection.link is None:
                connection.link = await self._open_link(home)
            connection.link.add(session)
            connection.users += 1

    async def _open_link(self, home: Home) -> Link:
        settings = self.config.remote_debugging
        options = ClientOptions(
            connect_timeout_s=settings.connect_timeout_s,
            request_timeout_s=settings.request_timeout_s,
            just_my_code=settings.just_my_code,
        )
        if self.own_process:
            from .own_process import open_own_process

            client, release = await open_own_process(
                options, allow_privileged=self.config.security.allow_privileged
            )
        else:
            check_host(self.host, allow_remote=self.config.security.allow_remote)
            client = AsyncDebugClient(self.host, self.port, replace(options))
            await client.open()
            release = _nothing
        return Link(
            home,
            client,
            release,
            own_process=self.own_process,
            stop_timeout_s=settings.stop_timeout_s,
        )

    async def _leave(self, session: DebugSession) -> None:
        link = session.link
        if link is not None:
            await link.home.run(self._leave_there(session, link))

    async def _leave_there(self, session: DebugSession, link: Link) -> None:
        connection = self._connection
        async with connection.lock or asyncio.Lock():
            if connection.link is not link:
                return
            connection.users -= 1
            try:
                await link.remove(session)
            finally:
                if connection.users <= 0:
                    connection.link = None
                    await link.close()

    async def _apply_configured(self, session: DebugSession) -> None:
        wanted = self.config.breakpoints
        for entry in wanted.lines:
            found = _LINE.fullmatch(entry.strip())
            if found is None:
                raise DebuggerError(f"breakpoints.lines must hold 'file.py:12', not {entry!r}")
            await session.set_breakpoint(found["file"], int(found["line"]), found["condition"])
        if wanted.exceptions:
            await session.set_exception_breakpoints(
                *wanted.exceptions, types=tuple(wanted.exception_types)
            )


async def _nothing() -> None:
    """Have nothing to release."""
