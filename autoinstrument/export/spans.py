"""Spans from records: names, parents, links, attributes, status, events."""

from collections.abc import Sequence
from typing import Final

from autoinstrument.export.batch import BlockedPeriod
from autoinstrument.export.ids import GENERATOR, SCOPE, SESSION, WAIT, WallClock
from autoinstrument.export.span import Event, Span
from autoinstrument.export.statics import (
    SCOPE_ID,
    TASK_ID,
    Attribute,
    Static,
    Statics,
    place_attributes,
)
from autoinstrument.export.threads import Threads, fixed, thread_of
from autoinstrument.export.traces import MOST_SPANS, Link, Placement, Trace, Traces
from autoinstrument.findings import Finding
from autoinstrument.records import (
    FAILED,
    CancelOrigin,
    ContendedHold,
    GeneratorRecord,
    ScopeRecord,
    SessionRecord,
    TaskRecord,
    WaitRecord,
)
from autoinstrument.stacks import parked

_MOST_LINKS: Final = 32
TASK_NAME: Final = "asyncscope.task.name"
UNFINISHED: Final = ("asyncscope.unfinished", True)
_UPPER_BOUND: Final = ("asyncscope.end.upper_bound", True)


class SpanMaker:
    """Makes the spans of records whose traces are kept; used by one thread at a time."""

    def __init__(self, traces: Traces, clock: WallClock) -> None:
        """Share the placements with whoever else asks for them."""
        self.traces = traces
        self.clock = clock
        self.statics = Statics()
        self.threads: Threads = {}
        self.fixed: dict[int, int] = {}  # threads of loops that are known for sure

    # -- tasks -----------------------------------------------------------------------------

    def task(
        self,
        record: TaskRecord,
        placement: Placement,
        findings: Sequence[Finding] = (),
        children: Sequence[Link] = (),
        now_ns: int = 0,
    ) -> Span:
        """Return a task's span; with `now_ns` (monotonic) the task is unfinished."""
        offset_ns = self.clock.offset_ns
        span = Span(
            placement,
            self.statics.of_task(record, self.thread_of(record)),
            record.created_ns + offset_ns,
            (record.ended_ns or now_ns) + offset_ns,
            self._task_attributes(record),
        )
        if record.outcome == FAILED:
            span.error = record.error_type or "exception"
        if (
            children
            or placement.link is not None
            or (placement.parent_id and self.traces.may_have_outlived(record))
        ):
            self._link(span, record, placement, children)
        if findings:
            span.events = [self._event(finding, span) for finding in findings]
        return span

    def follow(self, threads: Threads) -> None:
        """Take what is known of threads now; called before the spans of a batch are made."""
        self.threads = threads
        self.fixed = fixed(threads)

    def thread_of(self, record: TaskRecord) -> int:
        """Return the thread of a task, 0 when it is not known."""
        return self.fixed.get(record.loop_id) or thread_of(record, self.threads)

    def _task_attributes(self, record: TaskRecord) -> tuple[Attribute, ...]:
        found: list[Attribute] = [(TASK_ID, record.serial)]
        name = record.last_name or (record.name if record() is not None else "")
        if name:  # else it ended in a storm, and nobody asked
            found.append((TASK_NAME, name))
        if not record.ended_ns:
            found.append(UNFINISHED)
            task = record()
            waiting = self.statics.where(parked(task)) if task is not None else ""
            if waiting:
                found.append(("asyncscope.task.parked_at", waiting))
        elif not record.end_is_exact:
            found.append(_UPPER_BOUND)
        if record.error_type and record.outcome == FAILED:
            found.append(("error.type", record.error_type))
            if record.raised_at:
                found.append(("asyncscope.task.raised_at", self.statics.where(record.raised_at)))
        if record.cancels:
            found += self._cancellation(record.cancels[0])
        return tuple(found)

    def _cancellation(self, origin: CancelOrigin) -> list[Attribute]:
        found: list[Attribute] = [("asyncscope.cancel.via", origin.via)]
        if origin.by_task:
            found.append(("asyncscope.cancel.by_task", origin.by_task))
        where = self.statics.where(origin.stack)
        if where:
            found.append(("asyncscope.cancel.requested_at", where))
        return found

    def _link(
        self, span: Span, record: TaskRecord, placement: Placement, children: Sequence[Link]
    ) -> None:
        links = [placement.link] if placement.link is not None else []
        links += children[:_MOST_LINKS]
        if links:
            span.links = links
        creator = self.traces.placed(record.creator)
        if creator is None or placement.parent_id != creator.span_id:
            return
        if self.traces.outlived(record) and not placement.trace.foreign:
            # Placed as a child while its creator ran: it stays in the trace, as a root.
            span.place = Placement(placement.trace, placement.span_id)
            link = Link(creator.trace.trace_id, creator.span_id, "created_by")
            span.links = [link, *(span.links or ())]

    def _event(self, finding: Finding, span: Span) -> Event:
        at_ns = int(finding.first_seen * 1e9) or span.end_ns
        return Event(f"asyncscope.{finding.kind}", at_ns, finding_attributes(finding))

    # -- the rest --------------------------------------------------------------------------

    def scope(
        self,
        record: ScopeRecord,
        static: Static,
        owner: Placement,
        parent: ScopeRecord | None,
        now_ns: int = 0,
    ) -> Span:
        """Return the span of a scope, below its owner's span or that of the scope around it."""
        attributes: list[Attribute] = [
            (SCOPE_ID, record.serial),
            (TASK_ID, record.owner_serial),
        ]
        if not record.left_ns:
            attributes.append(UNFINISHED)
        if record.expired_ns:
            attributes.append(("asyncscope.scope.expired", True))
        if record.shield:
            attributes.append(("asyncscope.scope.shield", True))
        if record.left_ns and record.left_by != record.owner_serial:
            attributes.append(("asyncscope.scope.left_by", record.left_by))
        if record.cancel_origin is not None:
            attributes += self._cancellation(record.cancel_origin)
        trace, under = self._room(owner)
        parent_id = owner.span_id if parent is None else self.traces.ids.of(SCOPE, parent.serial)
        return self._below(
            trace,
            under and parent_id,
            owner,
            self.traces.ids.of(SCOPE, record.serial),
            static,
            record.entered_ns,
            record.left_ns or now_ns,
            attributes,
        )

    def wait(self, record: WaitRecord, serial: int, owner: Placement, now_ns: int = 0) -> Span:
        """Return the span of a wait for a lock, queue or event, below the waiting task."""
        attributes: list[Attribute] = [
            ("asyncscope.lock.id", record.lock.serial),
            ("asyncscope.lock.kind", record.lock.kind),
            ("asyncscope.lock.op", record.op),
            ("asyncscope.task.id", record.task.serial),
        ]
        if record.ended_ns:
            attributes.append(("asyncscope.lock.wait", record.how))
        else:
            attributes.append(UNFINISHED)
            if record.lock.holds:
                attributes.append(("asyncscope.lock.holder", record.lock.holds[0].owner_name))
        trace, under = self._room(owner)
        name = "lock wait" if record.op == "acquire" else f"{record.op} wait"
        return self._below(
            trace,
            under and owner.span_id,
            owner,
            self.traces.ids.of(WAIT, serial),
            self.statics.of_place(name, "wait", record.stack),
            record.started_ns,
            record.ended_ns or now_ns,
            attributes,
        )

    def hold(self, record: ContendedHold, owner: Placement, now_ns: int = 0) -> Span:
        """Return the span of a lock that a task had while others waited for it."""
        hold = record.hold
        attributes: list[Attribute] = [
            ("asyncscope.lock.id", hold.lock.serial),
            ("asyncscope.lock.kind", hold.lock.kind),
            ("asyncscope.lock.waiters", record.waiters),
            ("asyncscope.task.id", hold.owner_serial),
        ]
        if not record.ended_ns:
            attributes.append(UNFINISHED)
        trace, under = self._room(owner)
        return self._below(
            trace,
            under and owner.span_id,
            owner,
            self.traces.ids.another(),
            self.statics.of_place("lock hold", "hold", hold.stack),
            hold.at_ns,
            record.ended_ns or now_ns,
            attributes,
        )

    def session(self, record: SessionRecord, owner: Placement, now_ns: int = 0) -> Span:
        """Return the span of a session, below the task that opened it."""
        attributes: list[Attribute] = [
            ("asyncscope.session.id", record.serial),
            ("asyncscope.session.name", record.name),
        ]
        if record.owner is not None:
            attributes.append(("asyncscope.task.id", record.owner.serial))
        if not record.closed_ns:
            attributes.append(UNFINISHED)
        elif not record.end_is_exact:
            attributes.append(_UPPER_BOUND)
        trace, under = self._room(owner)
        return self._below(
            trace,
            under and owner.span_id,
            owner,
            self.traces.ids.of(SESSION, record.serial),
            self.statics.of_place(f"{record.kind} session", "session", record.stack),
            record.opened_ns,
            record.closed_ns or now_ns,
            attributes,
        )

    def generator(self, record: GeneratorRecord, owner: Placement, now_ns: int) -> Span:
        """Return the span of an async generator that the program did not close."""
        attributes: list[Attribute] = [
            ("asyncscope.generator.id", record.serial),
            ("asyncscope.task.id", record.owner_serial),
            UNFINISHED if not record.finalized_by else _UPPER_BOUND,
        ]
        if record.finalized_by:
            attributes.append(("asyncscope.generator.finalized_by", record.finalized_by))
        where = self.statics.where(record.stack)
        if where:
            attributes.append(("asyncscope.generator.iterated_at", where))
        trace, under = self._room(owner)
        return self._below(
            trace,
            under and owner.span_id,
            owner,
            self.traces.ids.of(GENERATOR, record.serial),
            self.statics.of_code("generator", record.qualname, record.code),
            record.started_ns,
            now_ns,
            attributes,
        )

    def blocked(self, period: BlockedPeriod, owner: Placement, now_ns: int) -> Span:
        """Return the span of a period in which a loop did nothing else."""
        attributes: list[Attribute] = [("asyncscope.loop.id", period.loop_serial)]
        if period.task_serial:
            attributes.append(("asyncscope.task.id", period.task_serial))
        if not period.ended_ns:
            attributes.append(UNFINISHED)
        trace, under = self._room(owner)
        return self._below(
            trace,
            under and owner.span_id,
            owner,
            self.traces.ids.another(),
            self.statics.of_place("loop blocked", "blocked", period.stack),
            period.started_ns,
            period.ended_ns or now_ns,
            attributes,
        )

    def _below(
        self,
        trace: Trace,
        parent_id: int,
        owner: Placement,
        span_id: int,
        static: Static,
        start_ns: int,
        end_ns: int,
        attributes: list[Attribute],
    ) -> Span:
        offset_ns = self.clock.offset_ns
        place = Placement(trace, span_id, parent_id)
        span = Span(place, static, start_ns + offset_ns, end_ns + offset_ns, tuple(attributes))
        if trace is not owner.trace and owner.span_id:
            span.links = [Link(owner.trace.trace_id, owner.span_id, "continues")]
        return span

    def _room(self, owner: Placement) -> tuple[Trace, bool]:
        """Return a trace with room for one more span, and whether it is the owner's."""
        trace = owner.trace
        if trace.spans < MOST_SPANS:
            trace.spans += 1
            return trace, True
        more = self.traces.continued(trace)
        more.spans += 1
        return more, False


def finding_attributes(finding: Finding) -> tuple[Attribute, ...]:
    """Return what is said about a finding in span events and log records."""
    found: list[Attribute] = [
        ("asyncscope.finding.kind", finding.kind),
        ("asyncscope.finding.message", finding.message),
        ("asyncscope.finding.remedy", finding.remedy),
        ("asyncscope.finding.severity", finding.severity),
        ("asyncscope.finding.count", finding.count),
    ]
    if finding.task:
        found.append(("asyncscope.task.name", finding.task))
    if finding.location is not None:
        found += place_attributes(finding.location)
    return tuple(found)
