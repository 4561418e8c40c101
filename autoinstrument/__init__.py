"""Explain what asyncio and anyio programs do, without changing them.

Importing this package costs nothing: every public name is looked up on first use, and
nothing is patched before `install()` or `ASYNCSCOPE_ENABLE=1`.
"""

# Not `typing.TYPE_CHECKING`: start-up code imports this package, and `typing` is dear.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from autoinstrument.agent import install as install
    from autoinstrument.agent import status as status
    from autoinstrument.agent import uninstall as uninstall
    from autoinstrument.debugger import AsyncDebugClient as AsyncDebugClient
    from autoinstrument.debugger import DebugEvent as DebugEvent
    from autoinstrument.debugger import DebugpyServer as DebugpyServer
    from autoinstrument.debugger import DebugSession as DebugSession
    from autoinstrument.debugger import RemoteDebugger as RemoteDebugger
    from autoinstrument.monitors import AsyncTaskTracker as AsyncTaskTracker
    from autoinstrument.monitors import CancelScopeMonitor as CancelScopeMonitor
    from autoinstrument.monitors import CancelScopeTracker as CancelScopeTracker
    from autoinstrument.monitors import ResourceMonitor as ResourceMonitor

__version__ = "0.1.0"

_HOMES = {
    "AsyncDebugClient": "debugger",
    "AsyncTaskTracker": "monitors",
    "CancelScopeMonitor": "monitors",
    "CancelScopeTracker": "monitors",
    "DebugEvent": "debugger",
    "DebugSession": "debugger",
    "DebugpyServer": "debugger",
    "RemoteDebugger": "debugger",
    "ResourceMonitor": "monitors",
    "install": "agent",
    "status": "agent",
    "uninstall": "agent",
}
"""Public name to the module, inside this package, that defines it."""

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - a list, as `dir()` wants it


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
