"""Who cancels whom: calls of `Task.cancel`, which is compiled and cannot be woven.

Python 3.12 and newer: `sys.monitoring` CALL events, only in code objects that mention
`cancel` (or close asynchronous generators); `call_sites` finds them.
Python 3.11: `asyncio.Task` is replaced by a subclass of the same name that overrides
`cancel` alone; `type(task) is asyncio.Task` stays true.
Code in `TaskTracker.telling` is woven and tells by itself whom it cancels.
"""

import asyncio.tasks
import os
import sys
from asyncio.events import Handle, TimerHandle
from collections.abc import Callable
from types import AsyncGeneratorType, CodeType, FrameType, ModuleType
from typing import Any

from autoinstrument import env, stacks
from autoinstrument.hooks import monitoring
from autoinstrument.hooks.call_sites import WATCHED, CallSites
from autoinstrument.hooks.patching import Patches
from autoinstrument.places import is_stdlib_file
from autoinstrument.records import ScopeRecord
from autoinstrument.trackers.generators import GeneratorTracker
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.tasks import TaskTracker

_VIA = {
    "Timeout._on_timeout": "deadline",
    "TaskGroup._abort": "group",
    "TaskGroup._on_task_done": "group",
    "TaskGroup.__aexit__": "group",
    "CancelScope._deliver_cancellation": "scope",
    "_cancel_all_tasks": "shutdown",
    "Runner._on_sigint": "SIGINT",
    "_GatheringFuture.cancel": "gather",
    "_cancel_and_wait": "deadline",
}
_HANDLES = {Handle, TimerHandle}


class CancelObserver:
    """Turns a call of `Task.cancel` into a fact for the task tracker."""

    def __init__(
        self, tasks: TaskTracker, scopes: ScopeTracker, generators: GeneratorTracker, failed: Any
    ) -> None:
        """Keep the trackers."""
        self._generators = generators
        self._tasks = tasks
        self._scopes = scopes
        self._failed = failed
        self.telling = tasks.telling
        self._on = True

    def cancelled(self, task: Any, frame: FrameType) -> None:
        """`task.cancel()` is called in `frame`."""
        if not self._on or id(frame.f_code) in self.telling:
            return
        try:
            via = _VIA.get(frame.f_code.co_qualname, "task.cancel")
            if frame.f_code.co_qualname == "Handle._run" and self._scheduled(task):
                return
            self._tasks.cancel_requested(task, frame, via, self._scope_of(frame, via))
        except Exception as exc:
            self.failed(exc)

    def failed(self, exc: BaseException) -> None:
        """Observe nothing any more after an error of ours, with one warning."""
        if self._on:
            self._on = False
            self._failed("cancellation origins", exc)

    def _scheduled(self, task: Any) -> bool:
        """Whether somebody is known who handed this call to the loop (see asyncio_handles)."""
        record = self._tasks.record_of(task)
        how = self._tasks.scheduled_cancel_of(record) if record is not None else None
        if record is None or how is None:
            return False
        self._tasks.cancel_arrived(record, how, stacks.parked_flat(task))
        return True

    def generator_called(self, generator: Any, method: str) -> None:
        """`aclose()` or the like of an asynchronous generator is called three frames above."""
        if not self._on:
            return
        try:
            if not self._generators.is_at_home(generator):
                self._generators.generator_called(generator, method, sys._getframe(3))
        except Exception as exc:
            self.failed(exc)

    def _scope_of(self, frame: FrameType, via: str) -> ScopeRecord | None:
        """Return the scope whose method is cancelling; its locals are known to hold it."""
        if via not in {"deadline", "group", "scope"}:
            return None
        names = frame.f_locals
        scope = names.get("origin") or names.get("self")
        if scope is None:
            return None
        record = self._scopes.find(scope)
        if record is not None and via == "deadline":
            self._scopes.deadline_expired(scope)
        return record


def install(
    patches: Patches,
    trackers: tuple[TaskTracker, ScopeTracker, GeneratorTracker],
    moments: Moments,
    failed: Any,
    told: frozenset[CodeType],
) -> None:
    """Observe `Task.cancel` in the way of this Python version.

    `told` is code whose closing of generators other hooks see, at a lower price.
    """
    observer = CancelObserver(*trackers, failed)
    if env.HAS_MONITORING:
        _observe_calls(patches, observer, moments, told)
    else:
        _replace_task_class(patches, observer)


def _observe_calls(
    patches: Patches, observer: CancelObserver, moments: Moments, told: frozenset[CodeType]
) -> None:
    tell = _teller(observer, told)

    def called(code: CodeType, offset: int, function: Any, first: Any) -> Any:
        try:
            name = getattr(function, "__name__", "")
            if name not in WATCHED:
                return monitoring.DISABLE
        except Exception:  # the program may call anything there, with any `__name__`
            return monitoring.DISABLE
        try:
            return tell(code, function, first, name)
        except Exception as exc:
            observer.failed(exc)
            return None

    if not monitoring.observe_calls(called):
        patches.off("cancellation origins", "asyncio.Task.cancel", "no free sys.monitoring tool")
        return
    sites = CallSites(monitoring.watch_calls)

    def read_libraries(now_ns: int) -> None:
        moments.unfinished |= not sites.read_libraries()

    moments.on("loop_started", sites.read_program)
    moments.on("library_hooked", sites.read_module)
    moments.on("tick", read_libraries)
    moments.on("root_seen", sites.read_root)
    patches.observed("cancellation origins", "asyncio.Task.cancel", monitoring.release)


def _teller(
    observer: CancelObserver, told: frozenset[CodeType]
) -> Callable[[CodeType, Any, Any, str], Any]:
    told_ids = {id(code) for code in told}  # to hash a code object takes long

    def tell(code: CodeType, function: Any, first: Any, name: str) -> Any:
        owner = getattr(function, "__self__", None)
        target = first if owner is None or isinstance(owner, type | ModuleType) else owner
        if id(code) in observer.telling or (
            _is_no_task(type(target)) and _is_known(code.co_filename)
        ):
            return monitoring.DISABLE  # there, no call cancels now a timer and now a task
        if name == "cancel":
            if isinstance(target, asyncio.tasks.Task):
                observer.cancelled(target, sys._getframe(2))
        elif isinstance(target, AsyncGeneratorType):
            if id(code) in told_ids:
                return monitoring.DISABLE
            observer.generator_called(target, name)
        return None

    return tell


def _is_no_task(kind: type) -> bool:
    return kind in _HANDLES or kind.__module__ == "anyio._backends._asyncio"


def _is_known(filename: str) -> bool:
    return is_stdlib_file(filename) or f"{os.sep}anyio{os.sep}" in filename


def _replace_task_class(patches: Patches, observer: CancelObserver) -> None:
    compiled: Any = asyncio.tasks.Task
    if compiled.__module__ != "_asyncio":
        patches.off("cancellation origins", "asyncio.Task", "replaced by another tool")
        return
    if "uvloop" in sys.modules or asyncio._get_running_loop() is not None:
        # tasks of the compiled class exist or will: two classes would break isinstance()
        patches.off("cancellation origins", "asyncio.Task", "installed after uvloop or in a loop")
        return
    cancel = compiled.cancel

    class Task(compiled):  # type: ignore[misc] # the base is the compiled class
        """A coroutine wrapped in a Future."""

        def cancel(self, msg: Any = None) -> bool:
            caller = sys._getframe(1)
            if caller.f_code is not own:  # else it is handed on to what a task awaits
                observer.cancelled(self, caller)
            return bool(cancel(self, msg))

    own = Task.cancel.__code__
    Task.__doc__ = compiled.__doc__
    Task.__module__ = compiled.__module__
    Task.__qualname__ = "Task"
    Task.cancel.__qualname__ = "Task.cancel"
    Task.cancel.__doc__ = cancel.__doc__
    patches.set("cancellation origins", asyncio.tasks, "Task", Task)
    patches.set("cancellation origins", asyncio, "Task", Task)
