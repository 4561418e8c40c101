"""Everything in a process that installing the agent may change, to compare before and after."""

import asyncio
import contextlib
import gc
import signal
import sys
import threading
import types
import warnings
from typing import Any

LIBRARIES = ("asyncio", "anyio", "uvloop", "warnings", "contextlib", "opentelemetry.context")


def _belongs(name: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for library in LIBRARIES)


def _code(value: Any) -> Any:
    function = getattr(value, "__func__", value)
    return getattr(function, "__code__", None)


def loaded() -> frozenset[str]:
    """Return the names of the libraries' modules that are there."""
    return frozenset(name for name in sys.modules if _belongs(name))


def attributes(modules: frozenset[str]) -> dict[str, tuple[Any, Any]]:
    """Return each attribute of modules and of their classes, with its code object."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(modules):
        for key, value in list(vars(sys.modules[name]).items()):
            if key in {"__warningregistry__", "_filters_version", "__builtins__"}:
                continue
            if isinstance(value, type | types.FunctionType):
                found[f"{name}.{key}"] = (value, _code(value))
            if isinstance(value, type) and value.__module__ == name:
                for inner, item in list(vars(value).items()):
                    if inner not in {"__dict__", "__weakref__", "_abc_impl", "__abstractmethods__"}:
                        found[f"{name}.{key}.{inner}"] = (item, _code(item))
    return found


def interpreter() -> dict[str, Any]:
    """Return what the interpreter itself is set to."""
    found: dict[str, Any] = {
        "exit": sys.exit,
        "excepthook": sys.excepthook,
        "unraisablehook": sys.unraisablehook,
        "thread excepthook": threading.excepthook,
        "trace": sys.gettrace(),
        "profile": sys.getprofile(),
        "asyncgen hooks": tuple(sys.get_asyncgen_hooks()),
        "origin depth": sys.get_coroutine_origin_tracking_depth(),
        "gc": (gc.isenabled(), gc.get_threshold(), list(gc.callbacks)),
        "threads": threading.active_count(),
        "running threads": len(sys._current_frames()),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "filters": list(warnings.filters),
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "streams": (sys.stdout, sys.stderr),
        "policy": None if sys.version_info >= (3, 14) else asyncio.get_event_loop_policy(),
    }
    if sys.version_info >= (3, 12):
        found["tools"] = [sys.monitoring.get_tool(number) for number in range(6)]
        found["events"] = [sys.monitoring.get_events(number) for number in (3, 4, 5)]
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of what is not the very same any more."""
    changed = []
    for name, old in before.items():
        new = after.get(name)
        same = new == old
        if isinstance(old, tuple) and len(old) == 2 and isinstance(new, tuple):
            with contextlib.suppress(Exception):
                same = all(a is b for a, b in zip(old, new, strict=True)) or same
                if _code(old[0]) is not None:
                    same = old[0] is new[0] and old[1] is new[1]
        if not same:
            changed.append(name)
    return changed + sorted(set(after) - set(before))
