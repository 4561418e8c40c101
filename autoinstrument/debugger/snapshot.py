"""Runs *inside the debugged process*: list the asyncio tasks and where they are parked.

The client sends this file's text after that of `pydevd_fixes.py` (see `remote_code.py`), so that it
works in processes that have no asyncscope. It changes nothing there and keeps nothing.
Runs on the debugger's thread while all others are suspended or, without a stop, while they run: a
task may move on meanwhile, so every look is guarded.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from autoinstrument.debugger.pydevd_fixes import all_tasks, frames_of


def current_tasks(tasks: list[Any]) -> dict[int, int]:
    """Return, by a task's id, the identifier of the thread that is executing it."""
    found = {}
    loops = {id(task.get_loop()): task.get_loop() for task in tasks}
    for loop in loops.values():
        try:
            task = asyncio.current_task(loop)
        except RuntimeError:
            continue
        if task is not None:
            found[id(task)] = getattr(loop, "_thread_id", None) or threading.get_ident()
    return found


def places_of(awaitable: Any) -> list[dict[str, Any]]:
    """Return the lines of a chain of awaitables, outermost first."""
    return [
        {
            "file": frame.f_code.co_filename,
            "line": frame.f_lineno or 0,
            "function": frame.f_code.co_qualname,
        }
        for frame in frames_of(awaitable)
    ]


def executing_places(coroutine: Any, thread: int) -> list[dict[str, Any]]:
    """Return the lines of a task that a thread is executing, outermost first.

    A coroutine that runs awaits nothing: only the thread's stack leads to its inner frames. Those
    of the debugger, which are above the line that was stopped, are left out.
    """
    outermost = getattr(coroutine, "cr_frame", None)
    frame = sys._current_frames().get(thread)
    found: list[dict[str, Any]] = []
    while frame is not None:
        if "pydevd" in frame.f_code.co_filename:
            found.clear()
        else:
            code = frame.f_code
            entry = {"file": code.co_filename, "line": frame.f_lineno, "function": code.co_qualname}
            found.append(entry)
        if frame is outermost:
            return found[::-1]
        frame = frame.f_back
    return places_of(coroutine)


def waits_for(task: Any) -> Any:
    """Return the future that the task waits for, if that can be seen."""
    return getattr(task, "_fut_waiter", None)


def awaiters(task: Any, tasks: list[Any]) -> list[Any]:
    """Return the tasks that wait for this one: directly, by gather, wait or a task group."""
    waiting = {id(waits_for(other)): other for other in tasks if waits_for(other) is not None}
    found = {}
    if id(task) in waiting:
        found[id(waiting[id(task)])] = waiting[id(task)]
    for other in tasks:
        children = getattr(waits_for(other), "_children", None)
        if children is not None and any(child is task for child in children):
            found[id(other)] = other
    for callback in getattr(task, "_callbacks", None) or ():
        for thing in _reachable(callback[0] if isinstance(callback, tuple) else callback):
            parent = getattr(thing, "_parent_task", None)
            if parent is not None and parent is not task:
                found[id(parent)] = parent
            elif id(thing) in waiting:
                found[id(waiting[id(thing)])] = waiting[id(thing)]
    found.pop(id(task), None)
    return list(found.values())


def _reachable(callback: Any) -> list[Any]:
    found = [getattr(callback, "__self__", None), *getattr(callback, "args", ())]
    for cell in getattr(callback, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue
    return [thing for thing in found if thing is not None]


def describe(task: Any, tasks: list[Any], running: dict[int, int]) -> dict[str, Any]:
    """Return one task as plain data."""
    waiter = waits_for(task)
    coroutine = None if task.done() else task.get_coro()  # or 3.12.1 crashes
    thread = running.get(id(task))
    return {
        "id": id(task),
        "name": task.get_name(),
        "coroutine": getattr(coroutine, "__qualname__", type(coroutine).__name__),
        "running_in_thread": thread,
        "cancelling": task.cancelling() if hasattr(task, "cancelling") else 0,
        "waits_for": type(waiter).__name__ if waiter is not None else "",
        "frames": executing_places(coroutine, thread) if thread else places_of(coroutine),
        "awaited_by": [id(other) for other in awaiters(task, tasks)],
    }


def hidden_loops() -> set[int]:
    """Return the ids of loops' threads that the debugger does not see: they are ours."""
    return {
        thread.ident or 0
        # `enumerate`, as pydevd replaces it, leaves them out.
        for thread in list(threading._active.values())  # type: ignore[attr-defined]
        if getattr(thread, "pydev_do_not_trace", False)
    }


def tasks_as_json() -> str:
    """Return all tasks of the program as JSON."""
    hidden = hidden_loops()
    tasks = [
        task for task in all_tasks() if getattr(task.get_loop(), "_thread_id", None) not in hidden
    ]
    running = current_tasks(tasks)
    found = []
    for task in tasks:
        try:
            found.append(describe(task, tasks, running))
        except Exception as exc:
            found.append({"id": id(task), "name": type(task).__name__, "error": str(exc)})
    return json.dumps({"tasks": found})


def current_task_id() -> int:
    """Return the id of the task that this thread is executing, 0 without one."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return 0
    return id(task) if task is not None else 0
