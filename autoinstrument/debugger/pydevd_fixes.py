"""Runs *inside the debugged process*: three repairs of pydevd, as found in debugpy 1.8.22.

1. *Answers take 44 ms.* Header and body are sent apart, and Nagle's algorithm holds the body back.
2. *`continue` takes up to 200 ms in a program with several threads.* `_update_stepping_info` uses
   one name for its argument and its loop, so that the wake-up goes to any of the threads; the one
   meant notices at the end of its waiting interval.
3. *Breakpoints miss parked coroutines* on Python 3.12 and later: pydevd sees a function when it
   starts, or when it is on a thread's stack at the moment a breakpoint is set. A coroutine that
   waits at an `await` is neither: a breakpoint set in the `while True` of a server never hits.
   3.11 is not concerned (there each resumption is a call event).

Standard library only and complete in itself: the client sends this file's text through `evaluate`.
A pydevd of another shape is left as it is.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
from typing import Any

MAX_DEPTH = 100
# These hold the coroutine or generator that they drive, and no attribute leads to it.
_WRAPPERS = {"coroutine_wrapper", "async_generator_asend", "async_generator_athrow"}


def unwrap(awaitable: Any) -> Any:
    """Return the coroutine or generator behind the wrapper types of `await` and `async for`."""
    if type(awaitable).__name__ in _WRAPPERS:
        for thing in gc.get_referents(awaitable):
            if hasattr(thing, "cr_frame") or hasattr(thing, "ag_frame"):
                return thing
    return awaitable


def frames_of(awaitable: Any) -> list[Any]:
    """Return the frame objects of a chain of awaitables, outermost first."""
    found: list[Any] = []
    for _ in range(MAX_DEPTH):
        awaitable = unwrap(awaitable)
        if hasattr(awaitable, "cr_frame"):
            frame = awaitable.cr_frame
            inner = None if awaitable.cr_running else awaitable.cr_await  # or it may crash
        elif hasattr(awaitable, "ag_frame"):
            frame, inner = awaitable.ag_frame, awaitable.ag_await
        elif hasattr(awaitable, "gi_frame"):
            frame = awaitable.gi_frame
            inner = None if awaitable.gi_running else awaitable.gi_yieldfrom
        else:
            break
        if frame is not None:
            found.append(frame)
        awaitable = inner
    return found


def all_tasks() -> list[Any]:
    """Return the unfinished tasks of all loops of the process."""
    # The registries need no walk over all objects. From 3.14 on compiled tasks are in lists that
    # are out of reach, and the registries hold the others only.
    found = {}
    if hasattr(asyncio, "future_add_to_awaited_by"):
        found = {id(o): o for o in gc.get_objects() if issubclass(type(o), asyncio.Task)}
    for name in ("_scheduled_tasks", "_all_tasks", "_eager_tasks"):
        registry = getattr(asyncio.tasks, name, ())
        for _ in range(100):
            try:
                found.update({id(task): task for task in list(registry)})
            except RuntimeError:  # changed while being read
                continue
            break
    return [task for task in found.values() if not task.done()]


def show_parked(debugger: Any) -> int:
    """Let pydevd look at the code of every parked coroutine, and return how many frames it saw."""
    shown = 0
    thread = threading.main_thread().ident
    for task in all_tasks():
        for frame in frames_of(task.get_coro()):
            debugger.set_trace_for_frame_and_parents(thread, frame)
            shown += 1
    return shown


def answer_at_once(debugger: Any) -> None:
    """Switch Nagle's algorithm off; to be repeated for each new connection."""
    sock = getattr(getattr(debugger, "writer", None), "sock", None)
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def wake_on_resume(debugger: Any) -> None:
    """Let a resume wake every thread; those not meant go back to sleep."""
    api = sys.modules["_pydevd_bundle.pydevd_api"].PyDevdAPI
    original = api.request_resume_thread
    if hasattr(original, "_asyncscope"):
        return

    def request_resume_thread(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, *args, **kwargs)
        current = sys.modules["pydevd"].get_global_debugger() or debugger
        for event in list(current._thread_events.values()):
            event.set()
        return answer

    request_resume_thread._asyncscope = True  # type: ignore[attr-defined]
    api.request_resume_thread = request_resume_thread


def reach_parked(debugger: Any) -> None:
    """Show pydevd the parked coroutines whenever it looks at the stacks."""
    if hasattr(debugger, "_asyncscope_reaches_parked"):
        return
    original = debugger.set_tracing_for_untraced_contexts

    def set_tracing_for_untraced_contexts(*args: Any, **kwargs: Any) -> None:
        # Before the original, which ends with the restart of events that may be disabled.
        try:
            show_parked(debugger)
        except Exception as exc:
            sys.stderr.write(f"asyncscope: breakpoints may miss parked coroutines ({exc!r})\n")
        original(*args, **kwargs)

    debugger.set_tracing_for_untraced_contexts = set_tracing_for_untraced_contexts
    debugger._asyncscope_reaches_parked = True
    set_tracing_for_untraced_contexts(breakpoints_changed=True)


def install() -> str:
    """Apply the repairs, and return what could not be applied, `""` if all is well."""
    pydevd = sys.modules.get("pydevd")
    debugger = pydevd.get_global_debugger() if pydevd is not None else None
    if debugger is None:
        return "pydevd is not running"
    wanted = [answer_at_once, wake_on_resume]
    if hasattr(sys, "monitoring"):
        wanted.append(reach_parked)
    failed = []
    for repair in wanted:
        try:
            repair(debugger)
        except Exception as exc:
            failed.append(f"{repair.__name__}: {exc!r}")
    return "; ".join(failed)
