"""Debug an async program with an IDE, or by program.

Importing this package imports neither debugpy nor asyncio, and starts nothing. The public names are
loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .async_debugger import AsyncDebugger as AsyncDebugger
    from .client import AsyncDebugClient as AsyncDebugClient
    from .client import ClientOptions as ClientOptions
    from .decorators import AsyncDebugDecorator as AsyncDebugDecorator
    from .decorators import debug_async as debug_async
    from .decorators import debug_scope as debug_scope
    from .decorators import debug_task as debug_task
    from .errors import DebuggerBusy as DebuggerBusy
    from .errors import DebuggerError as DebuggerError
    from .events import DebugEvent as DebugEvent
    from .model import BreakpointSpec as BreakpointSpec
    from .remote import RemoteDebugger as RemoteDebugger
    from .server import DebugpyServer as DebugpyServer
    from .server_manager import DebugpyServerManager as DebugpyServerManager
    from .session import DebugSession as DebugSession

_HOMES = {
    "AsyncDebugClient": "client",
    "AsyncDebugDecorator": "decorators",
    "AsyncDebugger": "async_debugger",
    "BreakpointSpec": "model",
    "ClientOptions": "client",
    "DebugEvent": "events",
    "DebugSession": "session",
    "DebuggerBusy": "errors",
    "DebuggerError": "errors",
    "DebugpyServer": "server",
    "DebugpyServerManager": "server_manager",
    "RemoteDebugger": "remote",
    "debug_async": "decorators",
    "debug_scope": "decorators",
    "debug_task": "decorators",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  (a list, computed)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
