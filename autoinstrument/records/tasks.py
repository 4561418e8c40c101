"""Tasks, how they ended, and who asked for their cancellation."""

import weakref
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from .locks import OpenWait, wait_record
from .places import FlatStack, Placed, RawStack, pairs
from .scopes import OpenScope, scope_record

if TYPE_CHECKING:
    from .locks import WaitRecord
    from .scopes import ScopeRecord

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


class TaskRecord(Placed, weakref.ref[Any]):
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
    story: "_TaskStory | None"
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
        if self.last_name:
            return
        task: Any = self()
        try:
            name = task.get_name()  # here: `name` takes two calls more
        except Exception:  # gone, or whatever a task factory returns
            name = None
        self.last_name = name if type(name) is str else self.name

    def told(self) -> "_TaskStory":
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
