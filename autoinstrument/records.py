"""The vocabulary of the package: what a hook records and what a detector finds.

A record is a slotted object with numbers, code places and weak references. It holds no
strong reference to a task, frame, coroutine, exception or value of the watched program.
Times are `time.monotonic_ns()`; a place is `(code object, instruction offset)` and becomes
a file and a line only when somebody reads it (`autoinstrument.places`).
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from types import CodeType
from typing import Any, Final

RawPlace = tuple[CodeType, int]
"""A code object and the offset of an instruction in it (`f_lasti`, in bytes)."""

RawStack = tuple[RawPlace, ...]
"""Innermost frame first."""

RUNNING: Final = "running"
RETURNED: Final = "returned"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
ENDED: Final = "ended"
"""The task is gone, and how it ended was not observable without disturbing it."""


class CancelOrigin:
    """Who asked for a cancellation, and where the task was parked at that moment."""

    __slots__ = ("at_ns", "by_scope", "by_serial", "by_task", "parked", "stack", "via", "waiter_id")

    def __init__(
        self,
        at_ns: int,
        by_serial: int,
        by_task: str,
        stack: RawStack,
        parked: RawStack,
        *,
        via: str,
        by_scope: "ScopeRecord | None" = None,
        waiter_id: int = 0,
    ) -> None:
        """Keep the facts.

        `via` is "task.cancel", "deadline", "scope", "group", "propagated", "shutdown", "SIGINT",
        or how it was handed to the loop: "timer", "threadsafe", "signal".
        """
        self.at_ns = at_ns
        self.by_serial = by_serial
        self.by_task = by_task
        self.stack = stack
        self.parked = parked
        self.via = via
        self.by_scope = by_scope
        self.waiter_id = waiter_id  # id of the future the task waited on; 0 when it did not


class TaskRecord(weakref.ref[Any]):
    """One task; the record is the weak reference to it (see docs/architecture.md).

    `ended_ns` is 0 while the task runs. `end_is_exact` is False when only the death of the
    task object was seen: the end is then an upper bound.
    """

    __slots__ = (
        "cancels",
        "code",
        "created_ns",
        "creator",
        "end_is_exact",
        "ended_ns",
        "error_type",
        "hops",
        "key",
        "last_name",
        "loop_id",
        "outcome",
        "qualname",
        "raised_at",
        "scopes",
        "serial",
        "stack",
        "thread_id",
        "trace",
        "wait",
    )

    key: int
    serial: int
    last_name: str  # as it was read last; the task may be renamed while it lives
    qualname: str
    code: CodeType | None
    creator: int
    stack: RawStack
    loop_id: int
    thread_id: int
    created_ns: int
    ended_ns: int
    end_is_exact: bool
    outcome: str
    error_type: str
    raised_at: RawStack
    cancels: list[CancelOrigin] | None
    scopes: "list[ScopeRecord] | None"
    wait: "WaitRecord | None"
    hops: int  # functions it sent to threads (to_thread, run_in_executor)
    trace: Any

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
    def name(self) -> str:
        """The task's name: now, or the last one that was read before it died."""
        task = self()
        if task is not None:
            self.last_name = name_of(task, self.serial, self.last_name)
        return self.last_name


def name_of(task: Any, serial: int, fallback: str = "") -> str:
    """Return a task's name; a task factory may return objects that have none."""
    try:
        name = task.get_name()
    except Exception:  # anything may come from a task factory; trio's tasks have an attribute
        name = getattr(task, "name", None)
    return name if isinstance(name, str) else fallback or f"task {serial}"


class ScopeRecord:
    """One cancel scope, timeout or task group, from its entry on."""

    __slots__ = (
        "cancel_origin",
        "deliveries",
        "entered_ns",
        "expired_ns",
        "generator",
        "key",
        "kind",
        "left_by",
        "left_ns",
        "left_stack",
        "owner",
        "owner_serial",
        "parent",
        "serial",
        "shield",
        "spin_since_ns",
        "stack",
        "victims",
    )

    def __init__(
        self,
        serial: int,
        key: int,
        kind: str,
        owner: TaskRecord | None,
        at_ns: int,
        stack: RawStack,
    ) -> None:
        """Record an entry; `kind` is the name a user knows, such as `asyncio.timeout`."""
        self.serial = serial
        self.key = key
        self.kind = kind
        self.owner = owner
        self.owner_serial = owner.serial if owner is not None else 0
        self.entered_ns = at_ns
        self.stack = stack
        self.parent: ScopeRecord | None = None
        self.left_ns = 0
        self.left_by = 0  # serial of the task that left it
        self.left_stack: RawStack = ()
        self.expired_ns = 0  # a deadline fired
        self.cancel_origin: CancelOrigin | None = None
        self.deliveries = 0
        self.spin_since_ns = 0
        self.victims: list[RawStack] | None = None
        self.generator: GeneratorRecord | None = None  # entered inside this generator's frame
        self.shield = False

    @property
    def owner_name(self) -> str:
        """The name of the task that entered it."""
        return self.owner.name if self.owner is not None else ""


class Hold:
    """One acquisition of a lock or of a permit, by the task that has it."""

    __slots__ = ("at_ns", "lock", "owner", "stack")

    def __init__(self, lock: "LockRecord", owner: TaskRecord, at_ns: int, stack: RawStack) -> None:
        """Record that `owner` got `lock` at `stack`."""
        self.lock = lock
        self.owner = owner
        self.at_ns = at_ns
        self.stack = stack

    @property
    def owner_name(self) -> str:
        """The owner's name."""
        return self.owner.name

    @property
    def owner_serial(self) -> int:
        """The owner's number."""
        return self.owner.serial


class LockRecord(weakref.ref[Any]):
    """One lock, semaphore, condition, queue or event that was used."""

    __slots__ = (
        "foreign_releases",
        "handovers",
        "holds",
        "key",
        "kind",
        "max_waiters",
        "own_releases",
        "permits",
        "serial",
        "wait_max_ns",
        "wait_total_ns",
        "waiters",
        "waits",
    )

    key: int
    serial: int
    kind: str
    permits: int  # 1 for a lock, the first value of a semaphore, 0 when not known
    holds: "list[Hold]"
    waiters: "dict[int, WaitRecord]"
    waits: int
    wait_total_ns: int
    wait_max_ns: int
    max_waiters: int
    handovers: int
    own_releases: int
    foreign_releases: int


class WaitRecord:
    """One task waiting for one thing: a lock, a queue, an event or a process."""

    __slots__ = ("after", "ended_ns", "how", "lock", "op", "stack", "started_ns", "task")

    def __init__(
        self, task: TaskRecord, lock: LockRecord, op: str, at_ns: int, stack: RawStack
    ) -> None:
        """Record that `task` began to wait in `op` (`acquire`, `get`, `put`, `join`, `wait`)."""
        self.task = task
        self.lock = lock
        self.op = op
        self.started_ns = at_ns
        self.stack = stack
        self.ended_ns = 0
        self.how = ""  # "resolved" or "broken off"
        self.after = 0  # how often the lock changed hands while this wait lasted


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


class GeneratorRecord(weakref.ref[Any]):
    """One asynchronous generator, from its first iteration on."""

    __slots__ = (
        "code",
        "finalized_by",
        "key",
        "loop_id",
        "owner",
        "owner_name",
        "owner_serial",
        "qualname",
        "reported",
        "serial",
        "stack",
        "started_ns",
    )

    key: int
    serial: int
    code: CodeType
    qualname: str
    owner: TaskRecord | None
    owner_serial: int
    owner_name: str
    stack: RawStack
    started_ns: int
    loop_id: int
    finalized_by: str
    reported: bool


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
        "runs",
        "serial",
        "thread_id",
    )

    key: int
    serial: int
    kind: str
    thread_id: int  # 0 while it does not run
    cpu_clock: int  # clock of that thread's processor time; 0 where there is none
    runs: int
    closed_ns: int
    errors: int
    blocked_times: int
    blocked_max_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """A line of source: absolute file, 1-based line, qualified function name."""

    file: str
    line: int
    function: str

    @property
    def short(self) -> str:
        """`file.py:41`, for sentences."""
        name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
        return f"{name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Related:
    """A further place that belongs to a finding, and what happened there."""

    role: str
    place: Place
    task: str = ""


@dataclass(slots=True)
class Finding:
    """What a detector found: a sentence, the line to open first, and what to do.

    `first_seen` is seconds since the epoch. `stack` is innermost first.
    """

    kind: str
    message: str
    remedy: str
    location: Place | None
    severity: str = "error"
    task: str = ""
    related: list[Related] = field(default_factory=list)
    stack: list[Place] = field(default_factory=list)
    count: int = 1
    first_seen: float = 0.0
    possible: bool = False
    key: Any = None  # findings with the same kind, location and key are one; never exported


@dataclass(frozen=True, slots=True)
class ScopeEvent:
    """One step in the life of a scope: `enter`, `exit`, `cancel` or `violation`."""

    event: str
    scope: str
    at_ns: int
    task: str
    place: Place | None = None
    detail: str = ""


Report = Callable[[Finding], None]
"""Where a detector puts what it found."""
