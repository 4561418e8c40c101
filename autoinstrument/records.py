"""The vocabulary of the package: what hooks and trackers write down.

A record is a slotted object with numbers, code places and weak references. It holds no
strong reference to a task, frame, coroutine, exception or value of the watched program.
Times are `time.monotonic_ns()`; a place is `(code object, instruction offset)` and becomes
a file and a line only when somebody reads it (`autoinstrument.places`).
"""

import os
import weakref
from time import monotonic_ns
from types import CodeType
from typing import Any, ClassVar, Final

RawPlace = tuple[CodeType, int]
"""A code object and the offset of an instruction in it (`f_lasti`, in bytes)."""

RawStack = tuple[RawPlace, ...]
"""Innermost frame first."""

FlatStack = tuple[Any, ...]
"""A `RawStack` without the inner tuples: code object, offset, code object, offset, ..."""


_MOST_VICTIMS: Final = 8  # places kept of a scope that cancels tasks
_OWN: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep


def pairs(flat: FlatStack) -> RawStack:
    """Return the places of a flat stack, without those in this package."""
    found = zip(flat[::2], flat[1::2], strict=True)
    return tuple((code, at) for code, at in found if not code.co_filename.startswith(_OWN))


RUNNING: Final = "running"
RETURNED: Final = "returned"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
ENDED: Final = "ended"
"""The task is gone, and how it ended was not observable without disturbing it."""


class CancelOrigin:
    """Who asked for a cancellation, and where the task was parked at that moment."""

    __slots__ = (
        "at_ns",
        "before",
        "by_scope",
        "by_serial",
        "by_task",
        "flat_parked",
        "flat_stack",
        "via",
        "waiter_id",
    )

    def __init__(
        self,
        at_ns: int,
        by_serial: int,
        by_task: str,
        flat_stack: FlatStack,
        flat_parked: FlatStack,
        via: str,
        by_scope: "ScopeRecord | None" = None,
        waiter_id: int = 0,
        before: int = 0,
    ) -> None:
        """Keep the facts.

        `via` is "task.cancel", "deadline", "scope", "group", "propagated", "shutdown", "SIGINT",
        or how it was handed to the loop: "timer", "threadsafe", "signal".
        """
        self.at_ns = at_ns
        self.by_serial = by_serial
        self.by_task = by_task
        self.flat_stack = flat_stack
        self.flat_parked = flat_parked
        self.via = via
        self.by_scope = by_scope
        self.waiter_id = waiter_id  # id of the future the task waited on; 0 when it did not
        self.before = before  # earlier requests that the task had not taken back

    @property
    def stack(self) -> RawStack:
        """Where it was asked for, innermost frame first."""
        return pairs(self.flat_stack)

    @property
    def parked(self) -> RawStack:
        """Where the task was suspended then, innermost frame first; empty if it was running."""
        return pairs(self.flat_parked)


UNTIMED: Final = -1
"""Something has begun, and nobody needs to know when."""

OpenScope = list[Any]
"""A scope that is open, as it is written down at its entry: key, kind, number, time, flat stack,
whether it is a shield, and its record, which is None until somebody asks (`scope_record`)."""

LeftScope = tuple[OpenScope, "TaskRecord", int]
"""A scope that its own task left in order, the task, and when; see `left_record`."""


OpenWait = list[Any]
"""A task's wait for a lock, queue or event, as it is written down when it begins: record of the
lock, operation, time, number, how often the lock had changed hands, record of the task, and its
`WaitRecord`, which is None until somebody asks (`wait_record`)."""

EndedWait = tuple[OpenWait, int]
"""A wait that ended well and was short, and when it ended; see `ended_wait`."""


class _Placed:
    """A record that knows where its thing began, by `flat_stack`."""

    __slots__ = ()

    flat_stack: FlatStack

    @property
    def stack(self) -> RawStack:
        """Where it began, innermost frame first; empty when that is not known."""
        return pairs(self.flat_stack)


class _Owned(_Placed):
    """A record of what a task began; `owner` is None outside any task."""

    __slots__ = ()

    owner: "TaskRecord | None"

    @property
    def owner_name(self) -> str:
        """The name of the task that began it."""
        return self.owner.name if self.owner is not None else ""

    @property
    def owner_serial(self) -> int:
        """The number of the task that began it, 0 when none did."""
        return self.owner.serial if self.owner is not None else 0


class _TaskStory:
    """What happened to a task beyond starting and ending; few tasks have one."""

    __slots__ = ("cancels", "ended_earlier", "error_type", "hops", "raised_at", "trace")

    def __init__(self) -> None:
        self.cancels: list[CancelOrigin] | None = None
        self.ended_earlier = False  # the end was not seen, but asked for later
        self.error_type = ""
        self.raised_at: RawStack = ()
        self.hops = 0
        self.trace: Any = None


class TaskRecord(_Placed, weakref.ref[Any]):
    """One task; the record is the weak reference to it (see docs/architecture.md).

    `ended_ns` is 0 while the task runs. `outcome` is empty while it runs, and where only the
    death of the task object was seen. Invariant: an empty `story` means that nothing was told.
    """

    __slots__ = (
        "code",
        "created_ns",
        "creator",
        "ended_ns",
        "flat_stack",
        "key",
        "last_name",
        "loop_id",
        "open_scopes",
        "open_wait",
        "outcome",
        "parked_ns",
        "qualname",
        "serial",
        "story",
        "waiter_id",
    )

    key: int
    serial: int
    last_name: str  # as it was read last; the task may be renamed while it lives
    qualname: str
    code: CodeType | None
    creator: int  # serial of the task that created it, 0 when none did
    flat_stack: FlatStack  # where it was created
    loop_id: int
    created_ns: int
    ended_ns: int
    outcome: str
    open_scopes: list[OpenScope] | None  # entered and not left, outermost first
    open_wait: OpenWait | None
    story: _TaskStory | None
    # Both are as they were at the last look at the task (`looks.py`).
    waiter_id: (
        int  # identity of the future that it waited for, 0 for none, -1 before the first look
    )
    parked_ns: int  # when it was first seen to wait for that one; not there before the first look

    @property
    def scopes(self) -> "list[ScopeRecord]":
        """The records of its scopes that were entered and not left, outermost first."""
        return [scope_record(entry, self) for entry in tuple(self.open_scopes or ())]

    @property
    def wait(self) -> "WaitRecord | None":
        """The record of what it waits for: a lock, a queue or an event."""
        entry = self.open_wait
        return wait_record(entry) if entry is not None else None

    @property
    def ended(self) -> bool:
        """Whether the task is over, as far as was seen or can be asked now."""
        if self.ended_ns:
            return True
        task = self()
        if task is None:
            return True
        try:
            return bool(task.done())
        except Exception:  # a task factory may return anything
            return False

    @property
    def end_is_exact(self) -> bool:
        """False when the time of the end is an upper bound: the task was found over, or dead."""
        if self.story is not None and self.story.ended_earlier:
            return False
        return self.outcome not in {"", ENDED}

    @property
    def name(self) -> str:
        """The task's name: now, or the last one that was read before it died."""
        task = self()
        if task is not None:
            self.last_name = name_of(task, self.serial, self.last_name)
        return self.last_name or f"task {self.serial}"

    @property
    def waits_since_ns(self) -> int:
        """When it was first seen to wait for what it waited for at the last look, or 0."""
        return self.parked_ns if self.waiter_id > 0 else 0

    def remember_name(self) -> None:
        """Keep the name beyond the task's end; to do so for every task would cost too much."""
        if not self.last_name:
            self.last_name = self.name

    def told(self) -> _TaskStory:
        """Return the story, begun now if there is none."""
        if self.story is None:
            self.story = _TaskStory()
        return self.story

    @property
    def cancels(self) -> list[CancelOrigin] | None:
        """Who asked for its cancellation."""
        return self.story.cancels if self.story is not None else None

    @property
    def error_type(self) -> str:
        """The qualified name of the exception that ended it, or nothing."""
        return self.story.error_type if self.story is not None else ""

    @property
    def raised_at(self) -> RawStack:
        """Where that exception was raised."""
        return self.story.raised_at if self.story is not None else ()

    @property
    def hops(self) -> int:
        """How many functions it sent to threads (to_thread, run_in_executor)."""
        return self.story.hops if self.story is not None else 0

    @property
    def trace(self) -> Any:
        """What the exporters keep of it; theirs alone."""
        return self.story.trace if self.story is not None else None

    @trace.setter
    def trace(self, value: Any) -> None:
        self.told().trace = value


def name_of(task: Any, serial: int, fallback: str = "") -> str:
    """Return a task's name; a task factory may return objects that have none."""
    try:
        name = task.get_name()
    except Exception:  # anything may come from a task factory; trio's tasks have an attribute
        name = getattr(task, "name", None)
    return name if isinstance(name, str) else fallback or f"task {serial}"


class ScopeRecord(_Owned):
    """One cancel scope, timeout or task group, from its entry on.

    It is made when there is something to tell of the scope or somebody asks. `key` is the
    identity of the scope object, which the record does not refer to: a scope is found through
    the task that entered it.
    """

    __slots__ = (
        "cancel_origin",
        "deliveries",
        "entered_ns",
        "expired_ns",
        "flat_stack",
        "flat_victims",
        "hits",
        "irregularly_by",
        "key",
        "kind",
        "left_ns",
        "left_stack",
        "owner",
        "scope",
        "serial",
        "shield",
    )

    serial: int
    key: int
    kind: str  # the name that a user knows, such as `asyncio.timeout`
    owner: TaskRecord | None
    entered_ns: int  # UNTIMED when nobody exports it
    flat_stack: FlatStack
    left_ns: int  # 0 while it is open
    shield: bool
    expired_ns: int  # when its deadline fired, 0 if it did not
    cancel_origin: CancelOrigin | None  # who cancelled it
    scope: weakref.ref[Any] | None  # once it is cancelled, if it may have many tasks
    hits: list[tuple[TaskRecord, CancelOrigin]] | None  # tasks it cancelled since the last tick
    flat_victims: list[FlatStack] | None  # where its cancellation was delivered before
    deliveries: int  # attempts to deliver it, of those that were counted
    irregularly_by: int | None  # number of the task that left it irregularly, 0 when none did
    left_stack: RawStack  # where it was left irregularly

    def __init__(
        self,
        owner: TaskRecord | None,
        key: int,
        kind: str,
        serial: int,
        entered_ns: int,
        flat_stack: FlatStack,
        shield: bool,
    ) -> None:
        """Keep what is known from the entry, in the order of `OpenScope`."""
        self.owner = owner
        self.key = key
        self.kind = kind
        self.serial = serial
        self.entered_ns = entered_ns
        self.flat_stack = flat_stack
        self.shield = shield
        self.left_ns = self.expired_ns = self.deliveries = 0
        self.cancel_origin = self.scope = self.irregularly_by = None
        self.hits = self.flat_victims = None
        self.left_stack = ()

    @property
    def left_by(self) -> int:
        """The number of the task that left it, 0 while it is open."""
        if self.irregularly_by is not None:
            return self.irregularly_by
        return self.owner_serial if self.left_ns else 0

    @property
    def victims(self) -> list[RawStack]:
        """Where tasks were parked when this scope cancelled them, while it is open."""
        return [pairs(flat) for flat in self._with_victims(self.hits or [])]

    def take_hits(self) -> "list[tuple[TaskRecord, CancelOrigin]]":
        """Return whom it has cancelled since the last call; may be called in any thread."""
        hits = self.hits
        if not hits:
            return []
        taken = hits[:]
        del hits[: len(taken)]  # more may have come meanwhile
        self.flat_victims = self._with_victims(taken)
        return taken

    def _with_victims(self, hits: list[tuple[TaskRecord, CancelOrigin]]) -> list[FlatStack]:
        """Return the first places where tasks were hit, each once."""
        found = list(self.flat_victims or ())
        for _, origin in hits:
            if len(found) >= _MOST_VICTIMS:
                break
            if origin.flat_parked not in found:
                found.append(origin.flat_parked)
        return found


def scope_record(entry: OpenScope, owner: TaskRecord) -> ScopeRecord:
    """Return the record of an open scope of `owner`, made now if nobody has asked for it.

    May be called in any thread; two that ask at once get the same record.
    """
    key, kind, serial, entered_ns, flat_stack, shield, record = entry
    if record is None:
        made = ScopeRecord(owner, key, kind, serial, entered_ns, flat_stack, shield)
        record = entry[-1]
        if record is None:
            record = entry[-1] = made
    known: ScopeRecord = record
    return known


def left_record(left: "ScopeRecord | LeftScope") -> ScopeRecord:
    """Return the record of a scope that was left, out of the outbox."""
    if isinstance(left, ScopeRecord):
        return left
    entry, owner, left_ns = left
    record = scope_record(entry, owner)
    record.left_ns = left_ns
    return record


class Hold(_Placed):
    """One acquisition of a lock or of a permit, by the task that has it."""

    __slots__ = ("at_ns", "flat_stack", "lock", "owner")

    def __init__(
        self, lock: "LockRecord", owner: TaskRecord, at_ns: int, flat_stack: FlatStack
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

    def __init__(self, hold: Hold, ended_ns: int, waiters: int) -> None:
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
    owner: TaskRecord | None  # of a lock with one holder: who took it last
    taken_ns: int  # when it was taken last, as far as that was recorded in full
    place: FlatStack  # and where; of a semaphore only if it is calm
    placed: int  # the value that `acquired` had then: these two are of the last hold if it is equal
    hold: Hold | None  # made of these for whoever asks
    taker: TaskRecord | None  # who took a permit of a calm semaphore last, or an item of a queue
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

    def _hold_of(self, owner: TaskRecord) -> Hold:
        """Return one and the same object while a hold lasts."""
        known = self.placed == self.acquired
        hold, taken_ns = self.hold, self.taken_ns if known else 0
        if hold is None or hold.owner is not owner or hold.at_ns != taken_ns:
            hold = self.hold = Hold(self, owner, taken_ns, self.place if known else ())
        return hold


def _is_held(lock: Any, owner: TaskRecord) -> bool:
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
    task: TaskRecord
    lock: LockRecord
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


def wait_record(entry: OpenWait) -> WaitRecord:
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


def ended_wait(left: "WaitRecord | EndedWait") -> WaitRecord:
    """Return the record of a wait that is over, out of the outbox."""
    if isinstance(left, WaitRecord):
        return left
    entry, ended_ns = left
    record = wait_record(entry)
    record.how = "resolved"
    record.ended_ns = ended_ns
    return record


class GatherRecord:
    """A gather that has failed while children were running."""

    __slots__ = ("at_ns", "caller", "error", "left", "stack")

    def __init__(
        self, caller: TaskRecord | None, stack: RawStack, error: str, left: list[TaskRecord]
    ) -> None:
        """Keep who called gather where, and which children were left running."""
        self.caller = caller
        self.stack = stack
        self.error = error
        self.left = left
        self.at_ns = monotonic_ns()


class ShieldRecord:
    """A shield whose waiter was cancelled while the shielded task was running."""

    __slots__ = ("at_ns", "caller", "inner", "made_here", "stack")

    def __init__(
        self, caller: TaskRecord | None, stack: RawStack, inner: TaskRecord, *, made_here: bool
    ) -> None:
        """Keep the shield; `made_here` says that shield() itself made the inner task."""
        self.caller = caller
        self.stack = stack
        self.inner = inner
        self.made_here = made_here
        self.at_ns = monotonic_ns()


StartedGenerator = list[Any]
"""A generator as it is written down at its first iteration: weak reference, code, record of the
task, flat stack, time, number, and its `GeneratorRecord`, which is None until somebody asks."""


class GeneratorRecord(_Owned, weakref.ref[Any]):
    """One asynchronous generator that was iterated, made when somebody asks."""

    __slots__ = (
        "code",
        "finalized_by",
        "flat_stack",
        "last_qualname",
        "owner",
        "serial",
        "started_ns",
    )

    serial: int
    code: CodeType
    last_qualname: str  # of a generator that was dropped, as it can be read no more
    owner: TaskRecord | None  # the task that iterated it first
    flat_stack: FlatStack
    started_ns: int  # UNTIMED when nobody exports it
    finalized_by: str  # "collected", "loop shutdown" or "loop gone" when nobody closed it

    @property
    def qualname(self) -> str:
        """The generator's qualified name."""
        generator = self()
        return generator.__qualname__ if generator is not None else self.last_qualname

    @property
    def loop_id(self) -> int:
        """The identity of the loop in which it was started."""
        return self.owner.loop_id if self.owner is not None else 0


class HopRecord(weakref.ref[Any]):
    """Work that went to another thread; the record is the weak reference to its future."""

    __slots__ = ("ended_ns", "how", "key", "serial", "stack", "started_ns", "task", "thread_id")

    key: int
    serial: int
    how: str  # "to_thread", "run_in_executor", "anyio.to_thread" or "run_coroutine_threadsafe"
    task: TaskRecord | None  # who sent it; None from a thread without a loop
    thread_id: int  # from which thread
    stack: RawStack
    started_ns: int
    ended_ns: int  # an upper bound: the death of the future, which its owner awaits


class SessionRecord(_Placed):
    """One session with an SDK or a server."""

    __slots__ = (
        "closed_ns",
        "end_is_exact",
        "flat_stack",
        "kind",
        "name",
        "opened_ns",
        "owner",
        "serial",
    )

    serial: int
    kind: str  # the package that it belongs to; `sdk` when the program named it by hand
    name: str  # the class or function, such as `mcp.ClientSession`, or the program's name for it
    owner: TaskRecord | None  # the task that opened it
    opened_ns: int
    flat_stack: FlatStack  # where it was opened
    closed_ns: int  # 0 while it is open
    end_is_exact: bool  # False when only the death of the session object was seen


class LoopRecord(weakref.ref[Any]):
    """One event loop."""

    __slots__ = (
        "blocked_max_ns",
        "blocked_times",
        "closed_ns",
        "cpu_clock",
        "errors",
        "key",
        "kind",
        "native_id",
        "runs",
        "serial",
        "thread_id",
    )

    key: int
    serial: int
    kind: str
    thread_id: int  # 0 while it does not run
    native_id: int  # the operating system's number of that thread
    cpu_clock: int  # clock of that thread's processor time; 0 where there is none
    runs: int
    closed_ns: int
    errors: int
    blocked_times: int
    blocked_max_ns: int
