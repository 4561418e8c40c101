"""Functions sent to threads, and coroutines sent from threads to a loop.

`asyncio.to_thread` goes through `run_in_executor`, `anyio.from_thread.run` through
`run_coroutine_threadsafe`; `anyio.to_thread` has threads of its own. uvloop's `run_in_executor`
is compiled and not seen.
"""

import asyncio.tasks
import sys
from asyncio.base_events import BaseEventLoop
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.trackers.hops import HopTracker
from autoinstrument.trackers.tasks import TaskTracker


class ThreadPort(Port):
    """Tells the hop tracker what goes from thread to thread."""

    part = "threads"

    def __init__(self, failed: Any, hops: HopTracker, tasks: TaskTracker) -> None:
        """Keep the trackers."""
        super().__init__(failed)
        self._hops = hops
        self._tasks = tasks

    def sent(self, future: Any) -> Any:
        """`run_in_executor` returns its future; `asyncio.to_thread` calls it too."""
        try:
            frame = sys._getframe(2)
            how = "to_thread" if frame.f_code is _TO_THREAD.__code__ else "run_in_executor"
            self._hops.hopped(future, how, frame)
            self._tasks.hopped()
        except Exception as exc:
            self.failed("sent", exc)
        return future

    def sent_by_anyio(self, future: Any) -> None:
        """`anyio.to_thread.run_sync` hands a function to one of its threads."""
        try:
            self._hops.hopped(future, "anyio.to_thread", sys._getframe(2))
            self._tasks.hopped()
        except Exception as exc:
            self.failed("sent_by_anyio", exc)

    def handed_over(self, coro: Any) -> None:
        """`run_coroutine_threadsafe` is called, in another thread than the loop's."""
        try:
            self._tasks.handed_over(coro, sys._getframe(2))
        except Exception as exc:
            self.failed("handed_over", exc)

    def sent_to_loop(self, future: Any) -> Any:
        """`run_coroutine_threadsafe` returns its future."""
        try:
            self._hops.hopped(future, "run_coroutine_threadsafe", sys._getframe(2))
        except Exception as exc:
            self.failed("sent_to_loop", exc)
        return future


_TO_THREAD: Any = asyncio.to_thread


def install(patches: Patches, hops: HopTracker, tasks: TaskTracker, failed: Any) -> ThreadPort:
    """Hook the ways of asyncio between threads."""
    port = ThreadPort(failed, hops, tasks)
    patches.weave(
        "threads", BaseEventLoop, "run_in_executor", port, Edit("result", "port.sent(value)")
    )
    patches.weave(
        "threads",
        asyncio.tasks,
        "run_coroutine_threadsafe",
        port,
        Edit("result", "port.sent_to_loop(value)"),
        Edit("entry", "port.handed_over(coro)"),
    )
    return port


def install_anyio(patches: Patches, module: ModuleType, port: ThreadPort) -> None:
    """Hook `anyio.to_thread.run_sync` of `anyio._backends._asyncio`."""
    patches.weave(
        "anyio threads",
        module.AsyncIOBackend,
        "run_sync_in_worker_thread",
        port,
        Edit("before", "port.sent_by_anyio(future)", "worker.queue.put_nowait("),
    )
