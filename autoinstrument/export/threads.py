"""In which thread a task ran: that of its loop, remembered beyond the end of the loop.

Only the identity of its loop is known of a task, and a later loop may have the same one in
another thread. So a thread is remembered with the time in which a task must have been created:
since the loop before was closed, and until this one is. Of an earlier loop whose identity is
used again before its tasks are exported, the thread is not known any more.
"""

from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any, Final

from autoinstrument.records import LoopRecord, TaskRecord
from autoinstrument.trackers.moments import Moments

_MOST: Final = 1_000
_UNKNOWN: Final = (0, 0, 0)

Threads = Mapping[int, tuple[int, int, int]]
"""By the identity of a loop: its thread, since when and until when; times in monotonic ns."""


class LoopThreads:
    """Remembers the threads of loops; told by the loops' own threads."""

    def __init__(self, moments: Moments, clock: Callable[[], int] = monotonic_ns) -> None:
        """Follow loops from now on."""
        self.known: dict[int, tuple[int, int, int]] = {}
        self._forgotten_ns = 0
        self._clock = clock
        moments.on("loop_started", self.started)
        moments.on("loop_closing", self.closing)

    def started(self, loop: LoopRecord) -> None:
        """Note that a loop runs in this thread."""
        thread_id, since, until = self._before(loop.key)
        if thread_id != loop.thread_id:
            since = until or (self._clock() if thread_id else since)
        self.known[loop.key] = (loop.thread_id, since, 0)

    def closing(self, loop: Any) -> None:
        """Note that a loop is closed: from now on its identity may be another's."""
        thread_id, since, _ = self._before(id(loop))
        self.known[id(loop)] = (thread_id, since, self._clock())

    def _before(self, key: int) -> tuple[int, int, int]:
        """Return what is known of an identity; of too many all is forgotten."""
        if key not in self.known and len(self.known) >= _MOST:
            self._forgotten_ns = self._clock()
            self.known.clear()
        return self.known.get(key, (0, self._forgotten_ns, 0))


def fixed(threads: Threads) -> dict[int, int]:
    """Return the threads of those loops whose identity has always been theirs."""
    return {key: thread for key, (thread, since, until) in threads.items() if not since | until}


def thread_of(task: TaskRecord, threads: Threads) -> int:
    """Return the identity of the thread in which a task ran, 0 when it is not known."""
    thread_id, since, until = threads.get(task.loop_id, _UNKNOWN)
    return thread_id if since <= task.created_ns and not 0 < until <= task.created_ns else 0
