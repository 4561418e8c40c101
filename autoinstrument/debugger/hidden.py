"""A thread with an event loop that the debugger neither traces nor suspends.

A program that debugs itself needs it: at a breakpoint all its other threads stand still, the one
with the program's loop included, and somebody has to read the stack and continue. Without the
marks of `_debugpy.hide_thread` such a program hangs at its first breakpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from . import _debugpy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
_START_TIMEOUT_S: Final = 10.0


class Home(Protocol):
    """Where the coroutines of a debug connection run."""

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result; callable from any loop."""

    def is_here(self) -> bool:
        """Say whether the caller is there already."""


class CallersLoop:
    """The home of a connection to another process: the loop that opened it."""

    def __init__(self) -> None:
        """Take the running loop."""
        self._loop = asyncio.get_running_loop()

    def is_here(self) -> bool:
        """Say whether the caller is in that loop."""
        return asyncio.get_running_loop() is self._loop

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there."""
        return await work if self.is_here() else await _run_in(self._loop, work)


class HiddenLoop:
    """The home of a connection to the own process."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the thread unless it runs; a fork's child gets one of its own."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive() and self._pid == os.getpid():
                return
            ready = threading.Event()
            # Not the policy's loop: uvloop, or a test's loop, is the program's affair.
            self._loop = asyncio.SelectorEventLoop()
            self._pid = os.getpid()
            self._thread = hidden_thread(lambda: self._main(ready), "asyncscope-debugger")
            ready.wait(_START_TIMEOUT_S)

    def _main(self, ready: threading.Event) -> None:
        loop = self._loop
        if loop is None:
            return
        asyncio.set_event_loop(loop)
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def stop(self) -> None:
        """End the thread; what still runs there is abandoned."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and thread.is_alive():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            thread.join(_START_TIMEOUT_S)

    def is_here(self) -> bool:
        """Say whether the caller runs in the hidden loop."""
        return threading.current_thread() is self._thread

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hidden loop."""
        if self.is_here():
            return await work
        self.start()
        if self._loop is None:
            work.close()
            raise RuntimeError("the debugger's thread has ended")
        return await _run_in(self._loop, work)


async def _run_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def hidden_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread that the debugger does not see."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    _debugpy.hide_thread(thread)
    thread.start()
    return thread


async def in_hidden_thread(work: Callable[[], T], name: str) -> T:
    """Run blocking work in a hidden thread of its own, and return its result."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def main() -> None:
        try:
            result = work()
        except BaseException as exc:
            _call(done.set_exception, exc)
        else:
            _call(done.set_result, result)

    def _call(setter: Callable[[Any], None], value: object) -> None:
        def set_unless_done() -> None:
            if not done.done():
                setter(value)

        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(set_unless_done)

    hidden_thread(main, name)
    return await done


async def finish(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """Run a clean-up to its end, also when the caller is cancelled meanwhile, in bounded time.

    Raises:
        TimeoutError: it took too long and was cancelled.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    end = asyncio.get_running_loop().time() + timeout_s
    while not task.done():
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            task.cancel()
            raise TimeoutError(f"the clean-up took more than {timeout_s} s")
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()
