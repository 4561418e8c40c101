"""Decorators for coroutine functions: `debug_async`, `debug_task`, `debug_scope`."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .async_debugger import AsyncDebugger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from pathlib import Path

    from .events import EventHandler

P = ParamSpec("P")
T = TypeVar("T")

_default: AsyncDebugger | None = None


def default_debugger() -> AsyncDebugger:
    """Return the debugger of decorators that name none; made at the first call."""
    global _default  # noqa: PLW0603  (one for each process)
    if _default is None:
        _default = AsyncDebugger()
    return _default


def _checked(function: Callable[..., Any]) -> None:
    if not inspect.iscoroutinefunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"{name} must be a coroutine function (async def without yield)")


class AsyncDebugDecorator:
    """Runs every call of a coroutine function as an operation of an `AsyncDebugger`."""

    def __init__(
        self,
        debugger: AsyncDebugger | None = None,
        name: str | None = None,
        breakpoints: Iterable[tuple[str | Path, int]] = (),
        on_stop: EventHandler | None = None,
    ) -> None:
        """Take the operation's name (the function's by default), its breakpoints and handler."""
        self.debugger = debugger
        self.name = name
        self.breakpoints = tuple(breakpoints)
        self.on_stop = on_stop

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]]
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return the function, followed."""
        _checked(function)
        name = self.name or function.__qualname__

        @functools.wraps(function)
        async def followed(*args: P.args, **kwargs: P.kwargs) -> T:
            return await (self.debugger or default_debugger()).debug_async_operation(
                name,
                lambda: function(*args, **kwargs),
                self.breakpoints,
                on_stop=self.on_stop,
            )

        return followed


def debug_async(
    name: str | None = None,
    *,
    breakpoints: Iterable[tuple[str | Path, int]] = (),
    on_stop: EventHandler | None = None,
    debugger: AsyncDebugger | None = None,
) -> AsyncDebugDecorator:
    """Return a decorator that runs every call as an operation; see `debug_async_operation`."""
    return AsyncDebugDecorator(debugger, name, breakpoints, on_stop)


def debug_task(
    name: str | None = None, *, debugger: AsyncDebugger | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Return a decorator that follows every call as `tracked_task` does."""

    def decorate(
        function: Callable[P, Coroutine[Any, Any, T]],
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        _checked(function)

        @functools.wraps(function)
        async def followed(*args: P.args, **kwargs: P.kwargs) -> T:
            async with (debugger or default_debugger()).tracked_task(name or function.__qualname__):
                return await function(*args, **kwargs)

        return followed

    return decorate


def debug_scope(
    name: str | None = None,
    *,
    timeout_s: float | None = None,
    debugger: AsyncDebugger | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Return a decorator that follows every call as `tracked_scope` does."""

    def decorate(
        function: Callable[P, Coroutine[Any, Any, T]],
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        _checked(function)

        @functools.wraps(function)
        async def followed(*args: P.args, **kwargs: P.kwargs) -> T:
            own = debugger or default_debugger()
            async with own.tracked_scope(name or function.__qualname__, timeout_s):
                return await function(*args, **kwargs)

        return followed

    return decorate
