"""What else a task begins: gathers, shields, generators, work in threads, sessions; and loops."""

import weakref
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from .places import FlatStack, Owned, Placed, RawStack

if TYPE_CHECKING:
    from types import CodeType

    from .tasks import TaskRecord


class GatherRecord:
    """A gather that has failed while children were running."""

    __slots__ = ("at_ns", "caller", "error", "left", "stack")

    def __init__(
        self, caller: "TaskRecord | None", stack: RawStack, error: str, left: "list[TaskRecord]"
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
        self, caller: "TaskRecord | None", stack: RawStack, inner: "TaskRecord", *, made_here: bool
    ) -> None:
        """Keep the shield; `made_here` says that shield() itself made the inner task."""
        self.caller = caller
        self.stack = stack
        self.inner = inner
        self.made_here = made_here
        self.at_ns = monotonic_ns()


StartedGenerator = list[Any]
"""A generator as it is written down at its first iteration: weak proxy, which is made in half the
time of a weak reference, code, record of the task, flat stack, time, number, and its
`GeneratorRecord`, which is None until somebody asks."""


class GeneratorRecord(Owned, weakref.ref[Any]):
    """One asynchronous generator that was iterated, made when somebody asks."""

    __slots__ = (
        "again",
        "code",
        "finalized_by",
        "flat_stack",
        "last_qualname",
        "owner",
        "serial",
        "started_ns",
    )

    serial: int
    code: "CodeType"
    last_qualname: str  # of a generator that was dropped, as it can be read no more
    owner: "TaskRecord | None"  # the task that iterated it first
    flat_stack: FlatStack
    started_ns: int  # UNTIMED when nobody exports it
    finalized_by: str  # "collected", "loop shutdown" or "loop gone" when nobody closed it
    again: int  # how many more of the same task and place were collected next, and are not told

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
    task: "TaskRecord | None"  # who sent it; None from a thread without a loop
    thread_id: int  # from which thread
    stack: RawStack
    started_ns: int
    ended_ns: int  # an upper bound: the death of the future, which its owner awaits


class SessionRecord(Placed):
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
    owner: "TaskRecord | None"  # the task that opened it
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
