"""Sessions with an SDK or a server, as hooks or the program name them."""

from collections import deque
from time import monotonic_ns
from types import FrameType

from autoinstrument.places import capture_flat
from autoinstrument.records import SessionRecord
from autoinstrument.trackers.tasks import TaskTracker


class SessionTracker:
    """Owns what is known of open sessions, by number."""

    def __init__(self, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.open: dict[int, SessionRecord] = {}
        self.outbox: deque[SessionRecord] | None = None  # closed sessions for the exporters
        self.count = 0
        self.closed_count = 0
        self._tasks = tasks
        self._stack_depth = stack_depth

    def opened(self, name: str, frame: FrameType | None = None, kind: str = "sdk") -> int:
        """Record that the running task opens a session at `frame`; return its number.

        `kind` says which package the session belongs to: one of few words, other than `name`.
        """
        record = SessionRecord()
        self.count += 1
        record.serial = self.count
        record.kind = kind
        record.name = name
        record.owner = self._tasks.current()
        record.flat_stack = capture_flat(frame, self._stack_depth)
        record.closed_ns = 0
        record.end_is_exact = True
        record.opened_ns = monotonic_ns()
        self.open[record.serial] = record
        return record.serial

    def closed(self, number: int, *, exact: bool = True) -> int:
        """Record that a session is closed; return how long it was open, in nanoseconds.

        Without `exact`, the session object is gone and nobody has seen it being closed.

        Raises:
            KeyError: no such session is open.
        """
        record = self.open.pop(number)
        record.closed_ns = monotonic_ns()
        record.end_is_exact = exact
        self.closed_count += 1
        if self.outbox is not None:
            self.outbox.append(record)
        return record.closed_ns - record.opened_ns

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {"opened": self.count, "open": len(self.open)}
