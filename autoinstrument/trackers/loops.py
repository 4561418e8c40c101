"""Event loops: which run where, and how they end."""

import asyncio
import sys
import threading
import time
from time import monotonic_ns
from typing import Any

from autoinstrument.native import get_ident
from autoinstrument.records import LoopRecord
from autoinstrument.trackers.moments import Moments


class LoopTracker:
    """Owns the records of event loops, by identity."""

    def __init__(self, moments: Moments) -> None:
        """Start empty."""
        self.live: dict[int, LoopRecord] = {}
        self.made = self.seen = 0
        self.closed = 0
        self.errors = 0
        self.blocked = 0
        self.hidden: set[int] = set()  # identities of loops in threads that debuggers hide
        self.first_run: Any = None  # called once a run, before the loop starts
        self._moments = moments

    def loop_of(self, loop: Any) -> LoopRecord | None:
        """Return the record of a loop, made when it is seen first."""
        record = self.live.get(id(loop))
        if record is not None and record() is loop:
            return record
        try:
            record = LoopRecord(loop, self._gone)
        except TypeError:
            return None
        self.seen += 1
        if self.seen > self.made:  # by compiled code, or before hooks were installed
            self.others_possible()
        record.key = id(loop)
        record.serial = self.seen
        record.kind = type(loop).__module__.split(".", 1)[0]
        record.thread_id = record.native_id = record.cpu_clock = 0
        record.runs = record.closed_ns = record.errors = 0
        record.blocked_times = record.blocked_max_ns = 0
        self.live[record.key] = record
        return record

    def loop_made(self) -> None:
        """Record that a loop is made; it may never run."""
        self.made += 1
        if self.made > 1:
            self.others_possible()

    def others_possible(self) -> None:
        """Tell that futures may be awaited which belong to another loop than the running one."""
        self._moments.fire("throws_count")

    def _gone(self, record: LoopRecord) -> None:
        if self.live.get(record.key) is record:
            del self.live[record.key]

    def loop_started(self, loop: Any) -> None:
        """Record that a loop begins to run in this thread; our debugger's own are left out."""
        if _is_hidden_thread():
            self.hidden.add(id(loop))
            return
        self.hidden.discard(id(loop))
        record = self.loop_of(loop)
        if record is None:
            return
        record.runs += 1
        record.cpu_clock = _cpu_clock_of_this_thread()
        record.native_id = threading.get_native_id()
        record.thread_id = get_ident()
        if self.first_run is not None:
            self.first_run()
        self._moments.fire("loop_started", record)

    def loop_stopped(self, loop: Any) -> None:
        """Record that a loop runs no more."""
        record = self.live.get(id(loop))
        if record is not None:
            self._moments.fire("loop_stopped", record)
            record.thread_id = 0

    def loop_ending(self, loop: Any) -> None:
        """Tell that `asyncio.run()` is about to cancel the tasks that are left.

        They live on meanwhile: a task that nobody holds any more is cancelled, unless garbage
        is collected before, and what is made here may be the reason for a collection.
        """
        left = _all_tasks(loop)
        self._moments.fire("loop_ending", loop)
        left.clear()

    def loop_closing(self, loop: Any) -> None:
        """Record that a loop is closed, and tell it once."""
        record = self.loop_of(loop)
        if record is None or record.closed_ns:
            return
        record.closed_ns = monotonic_ns()
        record.thread_id = 0
        self.closed += 1
        self._moments.fire("loop_closing", loop)

    def loop_dropped(self) -> None:
        """Tell that the process is about to end while a loop runs in this thread."""
        here = get_ident()
        for record in self.running():
            loop = record()
            if loop is not None and record.thread_id == here:
                self._moments.fire("loop_ending", loop)
                self._moments.fire("loop_dropped", loop)

    def loop_error(self, loop: Any, context: dict[str, Any]) -> None:
        """Tell that a loop's exception handler is called."""
        self.errors += 1
        record = self.loop_of(loop)
        if record is not None:
            record.errors += 1
        self._moments.fire("loop_error", context)

    def running(self) -> list[LoopRecord]:
        """Return the records of loops that run now."""
        return [record for record in list(self.live.values()) if record.thread_id]

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {
            "seen": self.seen,
            "running": len(self.running()),
            "closed": self.closed,
            "errors": self.errors,
            "blocked": self.blocked,
        }


def _cpu_clock_of_this_thread() -> int:
    """Return a clock that others may read, or 0.

    Only on Linux: there its number is made of the thread's, and reading that of a thread that is
    gone is an error; elsewhere it may be a crash.
    """
    if sys.platform != "linux":
        return 0
    return time.pthread_getcpuclockid(get_ident())


def _is_hidden_thread() -> bool:
    """Whether this thread carries the mark by which debuggers leave their own threads alone."""
    known: dict[int, Any] = getattr(threading, "_active", {})
    return bool(getattr(known.get(get_ident()), "pydev_do_not_trace", False))


def _all_tasks(loop: Any) -> set[Any]:
    try:
        return asyncio.all_tasks(loop)
    except Exception:  # a task factory or another loop may have any objects
        return set()
