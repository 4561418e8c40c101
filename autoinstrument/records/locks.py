"""Locks, semaphores, conditions, queues and events, who has them, and waits for them."""

import weakref
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ClassVar

from .places import FlatStack, Placed, RawStack, pairs

if TYPE_CHECKING:
    from .tasks import TaskRecord

OpenWait = list[Any]
"""A task's wait for a lock, queue or event, as it is written down when it begins: record of the
lock, operation, time, number, how often the lock had changed hands, record of the task, and its
`WaitRecord`, which is None until somebody asks (`wait_record`)."""

EndedWait = tuple[OpenWait, int]
"""A wait that ended well and was short, and when it ended; see `ended_wait`."""


class Hold(Placed):
    """One acquisition of a lock or of a permit, by the task that has it."""

    __slots__ = ("at_ns", "flat_stack", "lock", "owner")

    def __init__(
        self, lock: "LockRecord", owner: "TaskRecord", at_ns: int, flat_stack: FlatStack
    ) -> None:
        """Record that `owner` got `lock` at a place and a time."""
        self.lock = lock
        self.owner = owner
        self.at_ns = at_ns  # 0 when neither time nor place is known, see `LockRecord`
        self.flat_stack = flat_stack

    @property
    def earlier(self) -> list[RawStack]:
        """Where the lock was taken before, as far as that was kept; first the last one of them."""
        lock = self.lock
        return [pairs(flat) for flat in dict.fromkeys((lock.place, *lock.places)) if flat]

    @property
    def owner_name(self) -> str:
        """The owner's name."""
        return self.owner.name

    @property
    def owner_serial(self) -> int:
        """The owner's number."""
        return self.owner.serial


class ContendedHold:
    """A hold of a lock for which others waited; made at its end, and only for exporters."""

    __slots__ = ("ended_ns", "hold", "waiters")

    def __init__(self, hold: "Hold", ended_ns: int, waiters: int) -> None:
        """Keep how many tasks waited at the end; `ended_ns` is 0 while the hold lasts."""
        self.hold = hold
        self.ended_ns = ended_ns
        self.waiters = waiters


class LockRecord(weakref.ref[Any]):
    """One lock, semaphore, condition, queue or event that was used.

    A lock is *calm* once it has been taken `LockRecord.NEWS` times and nobody had to wait. If the
    task that took a calm lock last takes it again, the woven code itself counts that and keeps
    neither time nor place; a waiting task ends the calm (see `ResourceTracker`). Of a lock that one
    task has at a time the holder is always `owner`; what a hold is made of stands beside it.
    """

    NEWS: ClassVar[int] = 64
    PLACES: ClassVar[int] = 3

    __slots__ = (
        "acquired",
        "again",
        "foreign_releases",
        "handovers",
        "hold",
        "key",
        "kind",
        "known_holds",
        "max_waiters",
        "news",
        "own_releases",
        "owner",
        "permits",
        "place",
        "placed",
        "places",
        "serial",
        "taken_ns",
        "taker",
        "wait_max_ns",
        "wait_total_ns",
        "waited",
        "waiting",
        "waits",
    )

    key: int
    serial: int
    kind: str
    permits: int  # 1 for a lock, the first value of a semaphore, 0 when not known
    news: int  # how many acquisitions are recorded in full before it may be calm
    acquired: int
    owner: "TaskRecord | None"  # of a lock with one holder: who took it last
    taken_ns: int  # when it was taken last, as far as that was recorded in full
    place: FlatStack  # and where; of a semaphore only if it is calm
    placed: int  # the value that `acquired` had then: these two are of the last hold if it is equal
    hold: "Hold | None"  # made of these for whoever asks
    taker: "TaskRecord | None"  # who took a permit of a calm semaphore last, or an item of a queue
    again: int  # how many more permits that task has taken since then, and has
    known_holds: "list[Hold]"  # of a semaphore or limiter: those with time and place
    places: list[FlatStack]  # where it was taken, at most `PLACES`; a set would hash code objects
    waited: dict[int, int]  # task -> how long it has waited for this in all, in ns
    waits: int
    waiting: int  # how many tasks wait now
    max_waiters: int
    wait_total_ns: int
    wait_max_ns: int
    handovers: int  # releases while somebody waited
    own_releases: int
    foreign_releases: int

    @property
    def holds(self) -> "list[Hold]":
        """Who has it; without time and place if it was calm and its taker the one before."""
        owner = self.owner
        if owner is not None:
            return [self._hold_of(owner)] if _is_held(self(), owner) else []
        again, taker = self.again, self.taker if self.again else None
        if taker is None:
            return self.known_holds
        return [*self.known_holds, *[Hold(self, taker, 0, ()) for _ in range(again)]]

    @property
    def held(self) -> int:
        """How many have it; the length of `holds`."""
        owner = self.owner
        if owner is not None:
            return int(_is_held(self(), owner))
        return self.again + len(self.known_holds)

    def _hold_of(self, owner: "TaskRecord") -> "Hold":
        """Return one and the same object while a hold lasts."""
        known = self.placed == self.acquired
        hold, taken_ns = self.hold, self.taken_ns if known else 0
        if hold is None or hold.owner is not owner or hold.at_ns != taken_ns:
            hold = self.hold = Hold(self, owner, taken_ns, self.place if known else ())
        return hold


def _is_held(lock: Any, owner: "TaskRecord") -> bool:
    """Whether a lock of asyncio or anyio, which knows its owner, is taken."""
    try:
        return bool(lock._locked)
    except AttributeError:
        holder = getattr(lock, "_owner_task", None)
        return holder is not None and holder is owner()


class WaitRecord:
    """One task waiting for one thing: a lock, a queue, an event or a process.

    It is made when there is something to tell of the wait or somebody asks. `flat_stack` is None
    until somebody needs it beyond the wait: while a task waits, the place can be read from the task
    itself.
    """

    __slots__ = (
        "ended_ns",
        "flat_stack",
        "how",
        "lock",
        "op",
        "passed",
        "serial",
        "started_ns",
        "task",
    )

    serial: int
    task: "TaskRecord"
    lock: "LockRecord"
    op: str  # `acquire`, `get`, `put`, `join` or `wait`
    started_ns: int
    flat_stack: FlatStack | None
    ended_ns: int
    how: str  # "resolved" or "broken off", empty while it lasts
    passed: int  # how often the lock had changed hands when the wait began

    @property
    def stack(self) -> RawStack:
        """Where the task waits, innermost frame first; empty when that is not known."""
        if self.flat_stack is not None:
            return pairs(self.flat_stack)
        if self.ended_ns:
            return ()
        from autoinstrument.stacks import parked  # which needs this module

        return parked(self.task())

    @property
    def after(self) -> int:
        """How often the lock has changed hands since the wait began."""
        return self.lock.handovers - self.passed


def wait_record(entry: OpenWait) -> "WaitRecord":
    """Return the record of a wait, made now if nobody has asked for it.

    May be called in any thread; two that ask at once get the same record. Who ends a wait takes
    it from its task first and then looks for its record: one that was made in between is ended
    here.
    """
    lock, op, started_ns, serial, passed, task, record = entry
    if record is not None:
        known: WaitRecord = record
        return known
    made = WaitRecord()
    made.lock = lock
    made.op = op
    made.started_ns = started_ns
    made.serial = serial
    made.passed = passed
    made.task = task
    made.flat_stack = None
    made.ended_ns = 0
    made.how = ""
    task.remember_name()
    if entry[-1] is None:
        entry[-1] = made
    if task.open_wait is not entry and not entry[-1].ended_ns:
        made = entry[-1]
        made.how = "resolved"
        made.ended_ns = monotonic_ns()
    found: WaitRecord = entry[-1]
    return found


def ended_wait(left: "WaitRecord | EndedWait") -> "WaitRecord":
    """Return the record of a wait that is over, out of the outbox."""
    if isinstance(left, WaitRecord):
        return left
    entry, ended_ns = left
    record = wait_record(entry)
    record.how = "resolved"
    record.ended_ns = ended_ns
    return record
