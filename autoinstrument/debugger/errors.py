# ruff: noqa: N818  (these names say a state or an outcome; the base class says that it is an error)
"""What can go wrong between a debugger and the debugged process, as types.

Everything raised on purpose by `autoinstrument.debugger` is a `DebuggerError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class DebuggerError(Exception):
    """Base of all errors of this package."""


class DebugpyNotInstalled(DebuggerError):
    """debugpy cannot be imported in this interpreter."""

    def __init__(self, reason: str) -> None:
        """Name the cure along with the reason."""
        super().__init__(f"debugpy is missing ({reason}); pip install 'asyncscope[debug]'")


class ConfigError(DebuggerError):
    """A configuration file has an unknown key or a value of the wrong sort."""


class RemoteHostRefused(DebuggerError):
    """A host that others can reach was asked for, and not explicitly allowed."""


class PrivilegesRefused(DebuggerError):
    """The process runs with raised privileges, and nobody forced the debugger on it."""


class ServerStartFailed(DebuggerError):
    """The debug server could not be started; the message has the reason."""


class PortTaken(ServerStartFailed):
    """Another process listens on the port already."""


class DebuggerBusy(DebuggerError):
    """The process is being debugged by somebody else: debugpy serves one client at a time."""


class NotConnected(DebuggerError):
    """A request was made before `connect` or after the end of the connection."""


class ConnectFailed(NotConnected):
    """Nothing answers at the address, or what answers is no debugger of ours."""


class ConnectionLost(NotConnected):
    """The connection ended while somebody was using it (the debuggee was killed, as a rule)."""


class DebugTimeout(DebuggerError, TimeoutError):
    """An answer or an event did not come within the time that was allowed for it."""


class ResumeLost(DebugTimeout):
    """`continue` was not answered: the process may be suspended for good."""


class NotStopped(DebuggerError):
    """The request needs a stopped thread and there is none."""


class BreakpointRefused(DebuggerError, ValueError):
    """A breakpoint that could never work: no such file, a condition that does not compile, ..."""


class SessionClosed(DebuggerError):
    """The debug session is over."""


class DapProtocolError(DebuggerError):
    """The peer sent bytes that are not the Debug Adapter Protocol."""


class DapStateError(DebuggerError):
    """A request that the protocol does not allow at this point of the handshake."""


class RequestFailed(DebuggerError):
    """The debugger answered a request with an error.

    Attributes:
        command: The request.
        text: The debugger's own words; of a failed `evaluate` the exception's text.
        body: The body of the answer, often empty.
    """

    def __init__(self, command: str, text: str, body: Mapping[str, object] | None = None) -> None:
        """Keep the parts apart for callers that look at them."""
        super().__init__(f"{command} failed: {text}")
        self.command = command
        self.text = text
        self.body = dict(body or {})
