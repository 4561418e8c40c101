"""Trackers for use by hand: the same records, statistics and findings without any hook.

With the agent installed in the process, what is told here joins the agent's own records and
appears in its report; otherwise each object here keeps records of its own.
"""

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextvars import Context
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any, TextIO, TypeVar

from autoinstrument import agent
from autoinstrument.config.schema import Settings
from autoinstrument.detectors import attach_all
from autoinstrument.export import report
from autoinstrument.findings import KINDS, Finding, FindingStore
from autoinstrument.places import Place, first_place
from autoinstrument.records import FAILED, ScopeRecord, TaskRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import outcome_of
from autoinstrument.world import World

T = TypeVar("T")


def shared_world() -> World:
    """Return the agent's records, or new ones where no agent is installed."""
    installed = agent.current()
    if installed is not None:
        return installed.world
    moments = Moments(agent.say)
    world = World(Settings(), moments, FindingStore(frozenset(KINDS)))
    attach_all(world, frozenset(KINDS))
    return world


@dataclass(frozen=True, slots=True)
class ScopeEvent:
    """One step in the life of a scope: `enter`, `exit`, `cancel` or `violation`."""

    event: str
    scope: str
    at_ns: int
    task: str
    place: Place | None = None
    detail: str = ""


class AsyncTaskTracker:
    """Creates tasks and knows what became of them.

    Example:
        tracker = AsyncTaskTracker()
        task = tracker.create_task(fetch(), name="fetch")
        await task
        print(tracker.get_summary())
    """

    def __init__(self, world: World | None = None, history: int = 10_000) -> None:
        """Share the agent's records unless `world` is given; keep `history` ended tasks."""
        self._world = world if world is not None else shared_world()
        self._mine: dict[int, TaskRecord] = {}
        self._ended: deque[TaskRecord] = deque(maxlen=history)
        self._created = 0

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[T]":
        """Create a task in the running loop and follow it.

        Raises:
            RuntimeError: no event loop is running.
        """
        task = asyncio.get_running_loop().create_task(coro, name=name, context=context)
        record = self._world.tasks.live.get(id(task))
        if record is None or record() is not task:
            record = self._world.tasks.task_created(task, coro, sys._getframe(1))
        record.remember_name()
        self._created += 1
        self._mine[record.serial] = record
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        record = self._world.tasks.record_of(task)
        if record is None:
            return
        if not record.ended_ns:
            self._world.tasks.task_ended(record, *outcome_of(task))
        self._mine.pop(record.serial, None)
        self._ended.append(record)

    @property
    def active(self) -> list[TaskRecord]:
        """The records of tasks that run."""
        return list(self._mine.values())

    @property
    def completed(self) -> list[TaskRecord]:
        """The records of tasks that returned or were cancelled."""
        return [record for record in self._ended if record.outcome != FAILED]

    @property
    def failed(self) -> list[TaskRecord]:
        """The records of tasks that ended with an exception."""
        return [record for record in self._ended if record.outcome == FAILED]

    def get_summary(self) -> dict[str, Any]:
        """Return counts, and the mean and longest duration in seconds of ended tasks."""
        took = [(record.ended_ns - record.created_ns) / 1e9 for record in self._ended]
        return {
            "created": self._created,
            "active": len(self._mine),
            "completed": len(self.completed),
            "failed": len(self.failed),
            "mean_duration_s": sum(took) / len(took) if took else 0.0,
            "max_duration_s": max(took, default=0.0),
            "names": sorted(record.name for record in self._mine.values()),
        }


class HandScope:
    """The scope object of an entry made by hand; the trackers know scopes by their identity."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        """Take the name that the program gave."""
        self.name = name


class CancelScopeTracker:
    """Follows scopes that the program enters and leaves by hand, and finds violations.

    Example:
        tracker = CancelScopeTracker()
        async with tracker.tracked_cancel_scope("session"):
            ...
        tracker.print_summary()
    """

    def __init__(self, world: World | None = None, history: int = 10_000) -> None:
        """Share the agent's records unless `world` is given; keep `history` events."""
        self._world = world if world is not None else shared_world()
        self._scopes: dict[int, tuple[HandScope, ScopeRecord]] = {}
        self._events: deque[ScopeEvent] = deque(maxlen=history)
        self._counts = {"entered": 0, "left": 0, "cancelled": 0, "violations": 0}

    def enter_scope(self, name: str = "scope") -> int:
        """Record that the running task enters a scope; return its number for the other calls."""
        return self._enter(name, sys._getframe(1))

    def _enter(self, name: str, frame: FrameType | None) -> int:
        scope = HandScope(name)
        record = self._world.scopes.scope_entered(scope, name, frame)
        self._scopes[record.serial] = (scope, record)
        self._counts["entered"] += 1
        self._note("enter", record, record.owner_name)
        return record.serial

    def exit_scope(self, scope_id: int) -> bool:
        """Record that a scope is left; return whether that was in its own task and in order.

        Raises:
            KeyError: no such scope is open.
        """
        return self._exit(scope_id, sys._getframe(1))

    def _exit(self, scope_id: int, frame: FrameType | None) -> bool:
        scope, record = self._scopes.pop(scope_id)
        task = self._world.tasks.current()
        self._world.scopes.scope_left(scope, frame)
        self._counts["left"] += 1
        regular = not record.left_stack
        self._note("exit", record, task.name if task is not None else "")
        if not regular:
            self._counts["violations"] += 1
            where = first_place(record.left_stack)
            self._events.append(
                ScopeEvent(
                    "violation",
                    record.kind,
                    record.left_ns,
                    task.name if task is not None else "",
                    where,
                    f'entered by task "{record.owner_name}"',
                )
            )
        return regular

    def request_cancel(self, scope_id: int, reason: str = "") -> None:
        """Record that the cancellation of an open scope is asked for.

        Raises:
            KeyError: no such scope is open.
        """
        scope, record = self._scopes[scope_id]
        self._world.scopes.cancel_requested(scope, sys._getframe(1), "scope")
        self._counts["cancelled"] += 1
        self._note("cancel", record, record.owner_name, reason)

    def _note(self, event: str, record: ScopeRecord, task: str, detail: str = "") -> None:
        place = first_place(record.stack)
        self._events.append(
            ScopeEvent(event, record.kind, time.monotonic_ns(), task, place, detail)
        )

    @contextlib.asynccontextmanager
    async def tracked_cancel_scope(self, name: str = "scope") -> AsyncIterator[int]:
        """Enter a scope for the length of a block, and yield its number."""
        scope_id = self._enter(name, _first_outside(sys._getframe(1)))
        try:
            yield scope_id
        finally:
            self._exit(scope_id, _first_outside(sys._getframe(1)))

    @property
    def events(self) -> list[ScopeEvent]:
        """What happened, oldest first."""
        return list(self._events)

    def check_cross_task_violations(self) -> list[Finding]:
        """Return the findings about scopes left by another task."""
        return [
            finding
            for finding in self._world.findings.all()
            if finding.kind == "cross_task_scope_exit"
        ]

    def get_active_scopes_info(self) -> list[dict[str, Any]]:
        """Return name, task, place and age in seconds of each open scope."""
        now = time.monotonic_ns()
        return [
            {
                "id": serial,
                "name": record.kind,
                "task": record.owner_name,
                "place": str(first_place(record.stack) or ""),
                "age_s": (now - record.entered_ns) / 1e9,
            }
            for serial, (_, record) in self._scopes.items()
        ]

    def get_scope_statistics(self) -> dict[str, int]:
        """Return how many scopes were entered, left, cancelled, are open, and violations."""
        return {**self._counts, "open": len(self._scopes)}

    def print_summary(self, stream: TextIO | None = None) -> None:
        """Print the statistics and the findings, to stderr by default."""
        out = stream if stream is not None else sys.stderr
        counts = self.get_scope_statistics()
        print(", ".join(f"{value} {name}" for name, value in counts.items()), file=out)
        for finding in self.check_cross_task_violations():
            print(f"{finding.kind}: {finding.message}", file=out)

    def write_events(self, path: str = "events.json") -> None:
        """Write the events as JSON for their owner only.

        Raises:
            OSError: the file cannot be written.
        """
        document = {"version": 1, "events": [_document(event) for event in self._events]}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(document, out, indent=1)

    def report(self) -> dict[str, Any]:
        """Return the JSON report of the shared records (docs/configuration.md)."""
        now = time.time()
        return report.report(self._world.findings.all(), self._world.statistics(), now, now)


def _document(event: ScopeEvent) -> dict[str, Any]:
    document = asdict(event)
    if event.place is not None:
        document["place"] = report.place_document(event.place)
    return document


def _first_outside(frame: FrameType | None) -> FrameType | None:
    """Return the first frame that is neither ours nor contextlib's."""
    while frame is not None and (frame.f_code.co_filename in {__file__, contextlib.__file__}):
        frame = frame.f_back
    return frame


class CancelScopeMonitor:
    """A `CancelScopeTracker` that is looked at: statistics over time, a summary at the end."""

    def __init__(self, tracker: CancelScopeTracker | None = None) -> None:
        """Watch a tracker, a new one by default."""
        self.tracker = tracker if tracker is not None else CancelScopeTracker()
        self._started = time.monotonic()

    @contextlib.contextmanager
    def watching(self) -> Iterator["CancelScopeMonitor"]:
        """Watch for the length of a block, and print what was found at its end."""
        try:
            yield self
        finally:
            if self.tracker.check_cross_task_violations():
                self.tracker.print_summary()

    def statistics(self) -> dict[str, float]:
        """Return the tracker's counts and how many scopes were entered a second."""
        counts = self.tracker.get_scope_statistics()
        seconds = max(time.monotonic() - self._started, 1e-9)
        return {**counts, "entered_per_s": counts["entered"] / seconds}


class ResourceMonitor:
    """Locks, SDK sessions, loops, and what the process uses."""

    def __init__(self, world: World | None = None) -> None:
        """Share the agent's records unless `world` is given."""
        self._world = world if world is not None else shared_world()

    def session_opened(self, name: str) -> int:
        """Record an SDK session; return its number."""
        return self._world.sessions.opened(name, sys._getframe(1))

    def session_closed(self, number: int) -> float:
        """Record that a session is closed; return how many seconds it was open.

        Raises:
            KeyError: no such session is open.
        """
        return self._world.sessions.closed(number) / 1e9

    def locks(self) -> list[dict[str, Any]]:
        """Return each known lock with its holders, waiters and waits."""
        return [
            {
                "id": lock.serial,
                "kind": lock.kind,
                "holders": [hold.owner_name for hold in lock.holds],
                "waiters": [wait.task.name for wait in self._world.resources.waiters_of(lock)],
                "waits": lock.waits,
                "wait_max_s": lock.wait_max_ns / 1e9,
                "wait_total_s": lock.wait_total_ns / 1e9,
            }
            for lock in list(self._world.resources.locks.values())
        ]

    def process(self) -> dict[str, float]:
        """Return CPU seconds, the largest resident size in bytes, and the number of threads."""
        return {
            "cpu_s": time.process_time(),
            "max_rss_bytes": _largest_resident_size(),
            "threads": threading.active_count(),
        }

    def statistics(self) -> dict[str, Any]:
        """Return everything at once."""
        return {
            "locks": self._world.resources.statistics(),
            "loops": self._world.loops.statistics(),
            "sessions": self._world.sessions.statistics(),
            "process": self.process(),
        }


def _largest_resident_size() -> int:
    """Return the peak of resident memory in bytes; 0 where the platform does not tell it."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # kibibytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
