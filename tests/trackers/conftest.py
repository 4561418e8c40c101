"""Fakes for scripts of facts: tasks that are only named, and a clock that is set by hand."""

import sys
from typing import Any

import pytest

from autoinstrument.trackers import (
    cancellations,
    generators,
    loops,
    resources,
    scopes,
    sessions,
    tasks,
    waits,
)
from autoinstrument.trackers.moments import MOMENTS, Moments


class FakeTask:
    """A task as far as trackers look at it; only `get_name` tells its name."""

    def __init__(self, name: str = "task") -> None:
        self.label = name
        self.over = False
        self.was_cancelled = False
        self._exception: BaseException | None = None
        self._fut_waiter: Any = None

    def get_name(self) -> str:
        return self.label

    def done(self) -> bool:
        return self.over

    def cancelled(self) -> bool:
        return self.was_cancelled

    def get_coro(self) -> Any:
        return None


class Thing:
    """A lock, a scope or a loop: its identity is all that counts."""

    closed = False
    _host_task: Any


class Stage:
    """All trackers, what they told, which task runs, and what time it is."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.running: FakeTask | None = None
        self.now_ns = 1_000
        self.moments = Moments(self.said.append)
        for moment in MOMENTS:
            self.moments.on(moment, self._listener(moment))
        self.tasks = tasks.TaskTracker(self.moments, 4)
        self.scopes = scopes.ScopeTracker(self.moments, self.tasks, 4)
        self.resources = resources.ResourceTracker(self.moments, self.tasks, 4)
        self.generators = generators.GeneratorTracker(self.moments, self.tasks, 4)
        self.sessions = sessions.SessionTracker(self.tasks, 4)
        self.loops = loops.LoopTracker(self.moments)

    def _listener(self, moment: str) -> Any:
        return lambda *facts: self.told.append((moment, facts))

    def current_task(self) -> FakeTask | None:
        return self.running

    def get(self, loop: Any) -> FakeTask | None:
        return self.running

    def clock(self) -> int:
        return self.now_ns

    def moments_told(self) -> list[str]:
        """Return the moments since the last call."""
        names = [moment for moment, _ in self.told]
        self.told.clear()
        return names

    def begin(self, name: str) -> FakeTask:
        """Create a task and let it run."""
        task = FakeTask(name)
        self.tasks.task_created(task, None, sys._getframe(1))
        self.running = task
        return task


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    for module in (tasks, scopes, generators):
        monkeypatch.setattr(module, "running_task", made.current_task)
    monkeypatch.setattr(tasks, "_current_tasks", made)  # asked itself before Python 3.12
    for module in (tasks, cancellations, scopes, resources, waits, generators, sessions, loops):
        monkeypatch.setattr(module, "monotonic_ns", made.clock)
    return made
