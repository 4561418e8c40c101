"""Sessions of `mcp` and `claude_agent_sdk`: who opens them where, and for how long.

Verified with mcp 1.30 and claude-agent-sdk 0.2.189.
"""

import sys
import weakref
from functools import partial
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.sessions import SessionTracker


class SessionPort(Port):
    """Tells the session tracker what is opened and closed."""

    part = "sdk sessions"

    def __init__(self, failed: Any, sessions: SessionTracker) -> None:
        """Start with no sessions."""
        super().__init__(failed)
        self._sessions = sessions
        self._open: dict[int, tuple[int, weakref.ref[Any] | None]] = {}

    def opened(self, session: Any) -> None:
        """A session object is entered or connected."""
        try:
            key, kind = id(session), type(session)
            if key not in self._open:
                package = kind.__module__.partition(".")[0]
                gone = weakref.ref(session, lambda _: self._close(key, exact=False))
                number = self._sessions.opened(
                    f"{package}.{kind.__qualname__}", sys._getframe(1), package
                )
                self._open[key] = (number, gone)
        except Exception as exc:
            self.failed("opened", exc)

    def closed(self, session: Any) -> None:
        """A session object is left."""
        try:
            self._close(id(session))
        except Exception as exc:
            self.failed("closed", exc)

    def begun(self, name: str) -> None:
        """The frame above, of a generator, stands for a session while it lasts."""
        try:
            frame = sys._getframe(1)
            package = name.partition(".")[0]
            self._open[id(frame)] = (self._sessions.opened(name, frame, package), None)
        except Exception as exc:
            self.failed("begun", exc)

    def over(self) -> None:
        """The frame above is left."""
        try:
            self._close(id(sys._getframe(1)))
        except Exception as exc:
            self.failed("over", exc)

    def _close(self, key: int, *, exact: bool = True) -> None:
        number, _ = self._open.pop(key, (0, None))
        if number in self._sessions.open:
            self._sessions.closed(number, exact=exact)


def install(patches: Patches, sessions: SessionTracker, failed: Any) -> None:
    """Hook the SDKs when the program imports them."""
    port = SessionPort(failed, sessions)
    for name, hook in (
        ("mcp.shared.session", _mcp),
        ("claude_agent_sdk.query", _claude_query),
        ("claude_agent_sdk.client", _claude_client),
    ):
        patches.when_imported(name, partial(hook, patches, port))


def _mcp(patches: Patches, port: SessionPort, module: ModuleType) -> None:
    """Hook `BaseSession`, of clients and servers."""
    session = module.BaseSession
    name = "mcp sessions"
    patches.weave(name, session, "__aenter__", port, Edit("returns", "port.opened(self)"))
    patches.weave(name, session, "__aexit__", port, Edit("entry", "port.closed(self)"))


def _claude_query(patches: Patches, port: SessionPort, module: ModuleType) -> None:
    """Hook `query`, an asynchronous generator."""
    patches.weave(
        "claude_agent_sdk sessions",
        module,
        "query",
        port,
        Edit("leave", "port.over()"),
        Edit("entry", "port.begun('claude_agent_sdk.query')"),
    )


def _claude_client(patches: Patches, port: SessionPort, module: ModuleType) -> None:
    """Hook `ClaudeSDKClient`."""
    client = module.ClaudeSDKClient
    name = "claude_agent_sdk sessions"
    patches.weave(name, client, "connect", port, Edit("entry", "port.opened(self)"))
    patches.weave(name, client, "disconnect", port, Edit("leave", "port.closed(self)"))
