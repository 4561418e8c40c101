"""Hops between threads: work that a task sends to a thread, or a thread to a loop."""

from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any

from autoinstrument.native import get_ident
from autoinstrument.places import capture
from autoinstrument.records import HopRecord, TaskRecord
from autoinstrument.trackers.tasks import TaskTracker


class HopTracker:
    """Owns the records of hops, by the identity of the future that stands for them."""

    def __init__(self, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.live: dict[int, HopRecord] = {}
        self.finished: deque[HopRecord] = deque(maxlen=1_000)
        self.count = 0
        self.stack_depth = stack_depth
        self._tasks = tasks

    def hopped(self, future: Any, how: str, frame: FrameType | None) -> HopRecord:
        """Record that work was sent to another thread; `frame` is who sent it."""
        self.count += 1
        record = HopRecord(future, self._gone)
        record.key = id(future)
        record.serial = self.count
        record.how = how
        record.task = self._tasks.current()
        record.thread_id = get_ident()
        record.stack = capture(frame, self.stack_depth)
        record.started_ns = monotonic_ns()
        record.ended_ns = 0
        self.live[record.key] = record
        return record

    def _gone(self, record: HopRecord) -> None:
        record.ended_ns = monotonic_ns()
        if self.live.get(record.key) is record:
            del self.live[record.key]
        self.finished.append(record)

    def of(self, task: TaskRecord) -> list[HopRecord]:
        """Return the hops of a task that are not over, the latest one last."""
        found = []
        for record in list(self.live.values()):
            future = record()
            if record.task is task and future is not None and not future.done():
                found.append(record)
        return found
