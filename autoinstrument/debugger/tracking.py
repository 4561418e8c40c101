"""What `AsyncDebugger` was asked to follow, and where it tells that: the agent's own trackers.

Names, metadata and outcomes are kept here, within bounds; the scopes, locks and sessions themselves
are records of the trackers, where detectors look at them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("operation", "task", "scope", "lock", "sdk_session")


class Trackers(Protocol):
    """Where facts are told, each in the task that it is about; see `autoinstrument.by_hand`."""

    def running_task(self) -> int:
        """Return the number of the running task's record."""

    def scope_entered(self, name: str) -> Any:
        """Record a scope; the result is for `scope_left`."""

    def scope_left(self, scope: Any) -> int:
        """Record its end; return the number of its record."""

    def lock_wanted(self, lock: Any, name: str) -> None:
        """Record that the running task asks for a lock."""

    def lock_taken(self, lock: Any, name: str) -> int:
        """Record that it has it; return the number of the lock's record."""

    def lock_not_taken(self, lock: Any) -> None:
        """Record that it gave up."""

    def lock_given_back(self, lock: Any) -> None:
        """Record that it is about to release the lock."""

    def session_opened(self, name: str) -> int:
        """Record a session with an SDK; return its number."""

    def session_closed(self, number: int) -> None:
        """Record its end."""

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counters of all trackers."""

    def findings(self) -> list[dict[str, Any]]:
        """Return what was found, as in the JSON report."""


def shared_trackers() -> Trackers:
    """Return the trackers of the agent in this process, or new ones where none is installed."""
    from autoinstrument.by_hand import HandTrackers

    return HandTrackers()


@dataclass(slots=True)
class TrackedRecord:
    """One thing that was followed by name.

    Attributes:
        kind: One of `KINDS`.
        outcome: `running`, `ok`, `error` or `cancelled`.
        waited_ms: Of a lock, until it was there.
        depth: Of a scope, how many others are around it.
        stops: Of an operation, how often a breakpoint stopped it.
        record: Number of the task, scope, lock or session in the trackers; 0 if there is none.
    """

    kind: str
    name: str
    task: str
    metadata: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    duration_ms: float = 0.0
    outcome: str = "running"
    error: str = ""
    waited_ms: float = 0.0
    depth: int = 0
    stops: int = 0
    session_id: str = ""
    record: int = 0
    started_ns: int = field(default_factory=time.perf_counter_ns)

    def ended(self, error: BaseException | None) -> None:
        """Note the end."""
        self.duration_ms = (time.perf_counter_ns() - self.started_ns) / 1e6
        if error is None:
            self.outcome = "ok"
        elif isinstance(error, asyncio.CancelledError):
            self.outcome = "cancelled"
        else:
            self.outcome = "error"
            self.error = f"{type(error).__name__}: {error}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = (n for n in self.__dataclass_fields__ if n != "started_ns")
        return {name: getattr(self, name) for name in names}


class Ledger:
    """Running records, and the latest finished ones within bounds of number and age."""

    def __init__(self, keep: int, retention_s: float) -> None:
        """Keep at most `keep` finished records, none older than `retention_s`."""
        self.running: dict[int, TrackedRecord] = {}
        self.finished: deque[TrackedRecord] = deque(maxlen=keep)
        self.dropped = 0
        self._retention_s = retention_s
        self._totals: dict[str, dict[str, float]] = {}

    def begin(self, record: TrackedRecord) -> None:
        """Add a record."""
        self.running[id(record)] = record

    def end(self, record: TrackedRecord, error: BaseException | None) -> None:
        """Move a record to the finished ones."""
        record.ended(error)
        self.running.pop(id(record), None)
        self.dropped += len(self.finished) == self.finished.maxlen
        self.finished.append(record)
        total = self._totals.setdefault(record.kind, {})
        total["count"] = total.get("count", 0) + 1
        total[record.outcome] = total.get(record.outcome, 0) + 1
        total["total_ms"] = total.get("total_ms", 0.0) + record.duration_ms
        total["longest_ms"] = max(total.get("longest_ms", 0.0), record.duration_ms)
        total["waited_ms"] = total.get("waited_ms", 0.0) + record.waited_ms

    def latest(self) -> Iterable[TrackedRecord]:
        """Return the finished records that are not too old, oldest first."""
        limit = time.time() - self._retention_s
        while self.finished and self.finished[0].started < limit:
            self.finished.popleft()
            self.dropped += 1
        return tuple(self.finished)

    def statistics(self) -> dict[str, Any]:
        """Return exact totals by kind, over everything that ever ended."""
        running = dict.fromkeys(KINDS, 0)
        for record in self.running.values():
            running[record.kind] += 1
        return {
            kind: {"running": running[kind], **self._totals.get(kind, {})}
            for kind in KINDS
            if running[kind] or kind in self._totals
        }


def agent_status() -> dict[str, Any]:
    """Return the counters of the agent's trackers, empty unless the agent is installed."""
    agent = sys.modules.get("autoinstrument.agent")
    status = getattr(agent, "status", None)
    found = status() if callable(status) else None
    return found if isinstance(found, dict) else {}


def task_name() -> str:
    """Return the name of the running task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task is not None else ""
