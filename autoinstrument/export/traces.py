"""Which trace a task belongs to, and under which span it hangs.

Theory of operation. A task is placed once, when somebody first asks: the exporter when the
task or a child of it is exported, or the program when it starts a span of its own inside the
task. The rules, in order:

1. The program's own span was current at creation: the task is its child, in its trace; when
   that trace is full or not kept, in a trace that continues it.
2. The creator still runs, or was over no sooner than the task: the task is the creator's child.
3. The creator was over first: a new trace, with a link to the creator.
4. The creator's trace is full or too deep for viewers: a new trace, with a link.
5. No creator: a new trace, or the trace of `TRACEPARENT` when the process was given one.

Placements of tasks that are over are kept by serial, so that children find them, and forgotten
oldest first.
"""

import os
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from autoinstrument.export.ids import TASK, SpanIds
from autoinstrument.export.sampling import Budget, HeadSampler
from autoinstrument.records import TaskRecord

MOST_SPANS: Final = 2_000  # viewers become slow above
MOST_DEPTH: Final = 100
_KEEP: Final = 50_000
_ANCESTORS: Final = 10_000
_AT_ONCE: Final = 64  # tasks placed while the program's threads wait for the lock
_MOST_CONTINUED: Final = 1_000
_UNSURE_NS: Final = 1_000_000_000

SpanContext = tuple[int, int, int]
"""Trace number, span number, W3C flags."""


if TYPE_CHECKING:  # making one takes long
    from typing import Protocol

    class Known(Protocol):
        """Where creators are found."""

        def get(self, serial: int, /) -> TaskRecord | None:
            """Return a task by its number."""


class Trace:
    """One trace: how full it is, and whether it is exported."""

    __slots__ = (
        "foreign",
        "hex",
        "important",
        "kept",
        "late",
        "paid",
        "sampled",
        "spans",
        "trace_id",
    )

    def __init__(self, trace_id: int, sampled: bool) -> None:
        """Begin an empty trace; `kept` is None until the budget decided."""
        self.trace_id = trace_id
        self.hex = ""  # of the trace number; filled in by the encoder
        self.sampled = sampled
        self.spans = 0
        self.important = False  # holds an error, a finding or slow work
        self.kept: bool | None = None
        self.late = False  # dropped first and kept from some moment on
        self.foreign = False  # begun by a span of the program
        self.paid = 0  # spans that the budget was charged for before they ended


class Link:
    """A pointer to a span of another trace, with the reason."""

    __slots__ = ("kind", "span_id", "trace_id")

    def __init__(self, trace_id: int, span_id: int, kind: str) -> None:
        """`kind` is `created_by`, `continues`, `created` or `continued_by`."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.kind = kind


class Placement:
    """Where a span stands; `TaskRecord.trace` holds it if the task was alive when it was placed."""

    __slots__ = ("depth", "link", "parent_id", "parent_is_remote", "span_id", "trace")

    def __init__(
        self,
        trace: Trace,
        span_id: int,
        parent_id: int = 0,
        depth: int = 0,
        link: Link | None = None,
        parent_is_remote: bool = False,
    ) -> None:
        """`parent_id` is 0 for the first span of a trace."""
        self.trace = trace
        self.span_id = span_id
        self.parent_id = parent_id
        self.depth = depth
        self.link = link
        self.parent_is_remote = parent_is_remote


class Traces:
    """Places tasks in traces. Called in the agent's thread, and in the program's when it asks."""

    def __init__(
        self,
        sampler: HeadSampler,
        ids: SpanIds,
        budget: Budget,
        remote: Callable[[], SpanContext | None] = lambda: None,
        keep: int = _KEEP,
    ) -> None:
        """Start without traces.

        Args:
            sampler: decides about new traces.
            ids: the numbers of spans.
            budget: what may be exported.
            remote: tells the span of another process under which this process hangs.
            keep: how many tasks, and how many traces of the program, are remembered.
        """
        self._keep = keep
        self.ids = ids
        self.budget = budget
        self._sampler = sampler
        # Of our own: the program may seed the shared one.
        self._numbers = random.Random(os.urandom(16))  # 0.2 us a number; urandom takes 1 us
        self._remote = remote
        self._placed: dict[int, Placement] = {}
        self.ended: dict[int, int] = {}  # serial of a creator that is over -> when
        self._by_id: dict[int, Trace] = {}
        self._more: dict[int, Trace] = {}  # the trace that continues a full one, by its number
        # Re-entrant: a signal handler of the program may start a span while we hold it.
        self._lock = threading.RLock()

    def after_fork(self, remote: Callable[[], SpanContext | None]) -> None:
        """In a forked child: numbers of its own; tasks that were placed stay where they are."""
        self.ids = SpanIds()
        self._numbers = random.Random(os.urandom(16))
        self._lock = threading.RLock()
        self._remote = remote

    def place_all(self, tasks: Sequence[TaskRecord], known: "Known") -> list[Placement]:
        """Place tasks in the order of their numbers, so that creators come first."""
        if len(self._placed) + len(tasks) > self._keep:  # not in the middle of a batch
            _forget(self._placed)
        found: list[Placement] = []
        for start in range(0, len(tasks), _AT_ONCE):
            with self._lock:
                self._place_some(tasks[start : start + _AT_ONCE], known, found)
        return found

    def _place_some(
        self,
        tasks: Sequence[TaskRecord],
        known: "Known",
        found: list[Placement],
    ) -> None:
        """Place tasks; what nearly all are, in one piece.

        That is a child of a creator that is placed, or without a creator the first of its trace.
        """
        placed, over = self._placed, self.ended
        number, keeps = self._numbers.getrandbits, self._sampler.keeps
        remote = self._remote()
        creator_serial = over_ns = 0
        creator: Placement | None = None
        numbers = self.ids.of_all(TASK, [record.serial for record in tasks])
        for record, span_id in zip(tasks, numbers, strict=True):
            serial = record.serial
            placement = placed.get(serial)
            if placement is not None:
                found.append(placement)
                continue
            if record.creator != creator_serial or creator is None:
                creator_serial = record.creator
                creator = placed.get(creator_serial)
                over_ns = over.get(creator_serial, 0)
            if record.story is not None or (creator is None and creator_serial):
                placement = self.place(record, known)
            elif creator_serial == 0 and record.ended_ns and remote is None:
                trace_id = number(128) or 1
                trace = Trace(trace_id, keeps(trace_id, None))
                trace.spans = 1
                self._remember(trace)
                placed[serial] = placement = Placement(trace, span_id, 0, 0, None, False)
            elif (
                creator is not None
                and (trace := creator.trace).spans < MOST_SPANS
                and creator.depth + 1 < MOST_DEPTH
                and record.ended_ns > 0
                and (not over_ns or record.ended_ns <= over_ns)
            ):
                trace.spans += 1
                # All arguments by position: then CPython calls `__init__` without a detour.
                placement = Placement(
                    trace, span_id, creator.span_id, creator.depth + 1, None, False
                )
                placed[serial] = placement
            else:
                placement = self._place_one(record)
            found.append(placement)

    def place(self, record: TaskRecord, known: "Known") -> Placement:
        """Return a task's placement, made now when it has none; `known` finds creators."""
        placement = self._placement(record)
        if placement is not None:
            return placement
        with self._lock:
            for task in reversed(self._unplaced(record, known)):
                placement = self._place_one(task)
        assert placement is not None
        return placement

    def _placement(self, record: TaskRecord) -> Placement | None:
        """Return the placement of a task that has one.

        A task that was alive when it was placed has it in its record, however long it lives.
        """
        placement = self._placed.get(record.serial)
        if placement is None and record.story is not None:
            placement = record.story.trace
        return placement if isinstance(placement, Placement) else None

    def place_within(self, record: TaskRecord, program: SpanContext) -> Placement | None:
        """Place a new task below the program's span `program`, in the program's thread.

        Returns its placement if the program's spans inside the task may hang below it: when
        the trace has room, and the budget lets it be exported. None otherwise.
        """
        with self._lock:
            trace = self._trace_of(program[0], program[2])
            if trace.kept is None and trace.sampled:
                trace.kept = self.budget.open
            if not trace.sampled or not trace.kept:
                record.trace = program
                return None
            self.budget.spend(1)
            trace.paid += 1
            record.trace = program
            placement = self._place_one(record)
            return placement if placement.trace is trace else None

    def link_of(self, record: TaskRecord, placement: Placement, known: "Known") -> Link | None:
        """Return the link to where a task comes from, if that is another trace.

        A task below a span of the program is placed before its creator may be.
        """
        created_by = known.get(record.creator) if placement.trace.foreign else None
        if placement.link is None and created_by is not None:
            creator = self.place(created_by, known)
            if creator.trace is not placement.trace:
                link = Link(creator.trace.trace_id, creator.span_id, "created_by")
                placement.link = link
        return placement.link

    def placed(self, serial: int) -> Placement | None:
        """Return the placement of a task by its number, if it has one."""
        return self._placed.get(serial)

    def _new_id(self) -> int:
        return self._numbers.getrandbits(128) or 1

    def over(self, tasks: Iterable[TaskRecord]) -> None:
        """Remember which tasks are over, for those they created that outlive them."""
        ended = self.ended
        for task in tasks:
            if task.ended_ns:
                ended[task.serial] = task.ended_ns
        while len(self.ended) > self._keep:
            _forget(self.ended)

    def outside(self) -> Placement:
        """Return a place for work that belongs to no task: a trace without a first span."""
        placement = self._root(0)
        placement.span_id = placement.parent_id
        return placement

    def outlived(self, record: TaskRecord) -> bool:
        """Whether a task is known to have lasted longer than its creator.

        An end that is an upper bound says little: a creator's locals die after the creator.
        """
        over_ns = self.ended.get(record.creator, 0)
        if not over_ns or not record.ended_ns:
            return bool(over_ns)
        return record.ended_ns > over_ns + (0 if record.end_is_exact else _UNSURE_NS)

    def may_have_outlived(self, record: TaskRecord) -> bool:
        """Whether it is worth asking `outlived`."""
        over_ns = self.ended.get(record.creator)
        return over_ns is not None and not 0 < record.ended_ns <= over_ns

    def fresh(self, of: Trace) -> Trace:
        """Begin a trace that shares the fate of another one with the sampler."""
        return Trace(self._new_id(), sampled=of.sampled)

    def _unplaced(self, record: TaskRecord, known: "Known") -> list[TaskRecord]:
        """Return the task and its ancestors that have no placement, youngest first."""
        chain = [record]
        while len(chain) < _ANCESTORS:
            last = chain[-1]
            creator = known.get(last.creator)
            if type(last.trace) is tuple or last.creator in self._placed or creator is None:
                break
            if creator.serial == record.serial or self._placement(creator) is not None:
                break
            chain.append(creator)
        return chain

    def _place_one(self, record: TaskRecord) -> Placement:
        span_id = self.ids.of(TASK, record.serial)
        program = record.trace if record.story is not None else None
        creator = self._placed.get(record.creator)
        if type(program) is tuple:
            placement = self._under_program(span_id, program, creator)
        elif creator is None:
            placement = self._root(span_id)
        else:
            placement = self._under_creator(span_id, record, creator)
        placement.trace.spans += 1
        if not record.ended_ns or record.story is not None:
            record.trace = placement
        if len(self._placed) >= self._keep:
            _forget(self._placed)
        self._placed[record.serial] = placement
        return placement

    def _under_program(
        self, span_id: int, program: SpanContext, creator: Placement | None
    ) -> Placement:
        trace_id, parent_id, flags = program
        trace = self._trace_of(trace_id, flags)
        trace.foreign = True
        nested = creator is not None and creator.trace is trace and creator.span_id == parent_id
        depth = creator.depth + 1 if nested and creator is not None else 0
        if trace.spans >= MOST_SPANS or depth >= MOST_DEPTH:
            more = self.continued(trace)
            return Placement(more, span_id, link=Link(trace_id, parent_id, "continues"))
        return Placement(trace, span_id, parent_id, depth)

    def continued(self, trace: Trace) -> Trace:
        """Return a trace with room that takes what a full one cannot."""
        more = self._more.get(trace.trace_id)
        if more is None or more.spans >= MOST_SPANS:
            more = self.fresh(trace)
            more.kept = trace.kept
            if len(self._more) >= _MOST_CONTINUED:
                _forget(self._more)
            self._more[trace.trace_id] = more
        return more

    def _trace_of(self, trace_id: int, flags: int) -> Trace:
        trace = self._by_id.get(trace_id)
        if trace is None:
            trace = Trace(trace_id, sampled=self._sampler.keeps(trace_id, flags))
            self._remember(trace)
        return trace

    def _remember(self, trace: Trace) -> None:
        if len(self._by_id) >= self._keep:
            _forget(self._by_id)
        self._by_id[trace.trace_id] = trace

    def _root(self, span_id: int) -> Placement:
        remote = self._remote()
        if remote is not None:
            trace_id, parent_id, flags = remote
            trace = self._trace_of(trace_id, flags)
            if trace.spans < MOST_SPANS:
                return Placement(trace, span_id, parent_id, parent_is_remote=True)
            link = Link(trace_id, parent_id, "continues")
            return Placement(self.continued(trace), span_id, link=link)
        trace_id = self._new_id()
        trace = Trace(trace_id, sampled=self._sampler.keeps(trace_id, None))
        self._remember(trace)
        return Placement(trace, span_id)

    def _under_creator(self, span_id: int, record: TaskRecord, creator: Placement) -> Placement:
        trace = creator.trace
        outlives = self.outlived(record)
        full = trace.spans >= MOST_SPANS or creator.depth + 1 >= MOST_DEPTH
        if outlives or full:
            kind = "created_by" if outlives else "continues"
            link = Link(trace.trace_id, creator.span_id, kind)
            return Placement(self.fresh(trace), span_id, link=link)
        return Placement(trace, span_id, creator.span_id, creator.depth + 1)


def _forget(table: dict[int, Any]) -> None:
    """Drop the older half of a table."""
    for key in list(table)[: len(table) // 2]:
        table.pop(key, None)
