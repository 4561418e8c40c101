"""From a batch of records to the spans and log records that are exported.

Every trace is decided about as a whole: the head sampler first, then importance, then the
budget. What is dropped is counted by reason.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from autoinstrument.export import logs
from autoinstrument.export.batch import SPARE, Batch, ExportSettings
from autoinstrument.export.ids import WallClock
from autoinstrument.export.live_tasks import KnownTasks, LiveTasks
from autoinstrument.export.logs import LogRecord, LongOpen
from autoinstrument.export.plain import PlainSpans
from autoinstrument.export.scopes import enclosing, is_housekeeping, matters, shown
from autoinstrument.export.slices import give_way, in_slices, slices
from autoinstrument.export.span import Ready
from autoinstrument.export.spans import SpanMaker
from autoinstrument.export.traces import Link, Placement, Trace, Traces
from autoinstrument.records import FAILED, RETURNED, ScopeRecord, TaskRecord, WaitRecord
from autoinstrument.trackers.outbox import SHORT_WAIT_NS, SLOW_NS

if TYPE_CHECKING:
    from autoinstrument.export.statics import Static
    from autoinstrument.findings import Finding

_MOST_PENDING: Final = 1_000
_GLANCES: Final = 4096  # looks at tasks in a storm between two offers of the interpreter

_serial: Final = attrgetter("serial")

T = TypeVar("T")
Make = Callable[[], Ready]
_Placed = list[tuple[TaskRecord, Placement]]


class Pipeline:
    """Makes spans and log records of batches; used by one thread at a time."""

    def __init__(self, settings: ExportSettings, traces: Traces, *, to_json: bool = False) -> None:
        """Share the placements with whoever asks in the program's threads.

        With `to_json` the spans of what is plain come encoded.
        """
        self.traces = traces
        self.clock = WallClock()
        self.dropped = {"sampler": 0, "budget": 0}
        self.spans = 0
        self._maker = SpanMaker(self.traces, self.clock)
        self._plain = PlainSpans(self._maker) if to_json else None
        self._budget = traces.budget
        self._long_open = LongOpen(settings.long_open_s, self.clock, self._maker.statics)
        self._findings: dict[str, list[Finding]] = {}  # by task name, for tasks still running
        self._orphans: Placement | None = None  # where work outside any task stands
        self._wait_serial = 0

    def run(
        self, batch: Batch, unfinished: Batch | None = None
    ) -> tuple[list[Ready], list[LogRecord]]:
        """Return what to export; `unfinished` is given once, at exit."""
        now_ns = time.monotonic_ns()
        self._maker.follow(batch.threads)
        self._budget.refill(now_ns)
        self.dropped["budget"] += batch.left_out
        open_tasks = unfinished.tasks if unfinished is not None else []
        batch.tasks = self._look_at(batch.tasks, batch.live)
        batch.scopes = self._first_of(batch.scopes, matters)
        batch.waits = self._first_of(batch.waits, _was_broken_off)
        batch.holds = self._first_of(batch.holds, _never)
        known = KnownTasks((*open_tasks, *batch.tasks), batch.live)
        self.traces.over(batch.tasks)
        records = self._findings_logs(batch, known)
        tasks = self._tasks(batch, known, now_ns)
        children = self._children(batch, tasks, known)
        work = self._scopes(batch, known, now_ns)
        work += in_slices(self._work(batch, known, now_ns, open_too=False))
        if unfinished is not None:
            more = self._tasks(unfinished, known, now_ns)
            children |= self._children(unfinished, more, known)
            tasks += more
            work += self._scopes(unfinished, known, now_ns)
            work += self._work(unfinished, known, now_ns, open_too=True)
        self._choose(tasks, work)
        spans = self._task_spans(tasks, children, now_ns)
        spans += [make() for trace, make in in_slices(work) if trace.kept]
        records += self._long_open.check(
            batch.live, now_ns, lambda task: self.traces.place(task, known)
        )
        self.spans += len(spans)
        return spans, records

    def _look_at(self, tasks: list[TaskRecord], live: LiveTasks) -> list[TaskRecord]:
        """Return the tasks to place: in a storm the first ones, and those that matter.

        Placing a task takes 2 us and a look at it 0.2 us (CPython 3.13, 2 shared cores, 2026-11);
        the budget would drop the rest. Tasks come in the order in which they ended, so that a
        creator is met after those of its children that did not outlive it.
        """
        most = max(0, int(self._budget.left)) + SPARE
        if len(tasks) <= most:
            return tasks
        found = tasks[:most]
        needed = {task.creator for task in found}
        for start in range(most, len(tasks), _GLANCES):
            for task in tasks[start : start + _GLANCES]:
                if (
                    task.serial in needed
                    or task.serial in live.creators
                    or task.ended_ns - task.created_ns >= SLOW_NS
                    or (task.story is not None and (task.outcome == FAILED or task.trace))
                ):
                    found.append(task)
                    needed.add(task.creator)
            give_way()
        self.dropped["budget"] += len(tasks) - len(found)
        return found

    def _first_of(self, items: list[T], matters: Callable[[T], bool]) -> list[T]:
        """Return the first items, as many as the budget may have room for, and those that matter.

        What one task does, in a trace that is kept, would else be made into spans without end.
        """
        most = max(0, int(self._budget.left)) + SPARE
        if len(items) <= most:
            return items
        found = items[:most] + [item for item in in_slices(items[most:]) if matters(item)]
        self.dropped["budget"] += len(items) - len(found)
        return found

    # -- findings --------------------------------------------------------------------------

    def _findings_logs(self, batch: Batch, known: KnownTasks) -> list[LogRecord]:
        if not batch.findings:
            return []
        by_name = known.named({finding.task for finding in batch.findings} - {""})
        found = []
        for finding in batch.findings:
            record = by_name.get(finding.task)
            where = self.traces.place(record, known) if record is not None else None
            if where is not None:
                where.trace.important = True
                if len(self._findings) < _MOST_PENDING:
                    self._findings.setdefault(finding.task, []).append(finding)
            found.append(logs.of_finding(finding, where, time.time_ns()))
        return found

    # -- tasks, which are most of all there is -------------------------------------------------

    def _tasks(self, batch: Batch, known: KnownTasks, now_ns: int) -> _Placed:
        """Return the tasks that may have a span, each with its place."""
        tasks = sorted(batch.tasks, key=_serial)
        found = []
        qualname, housekeeping, findings = "", False, self._findings
        for pair in zip(tasks, self.traces.place_all(tasks, known), strict=True):
            task, place = pair
            if task.qualname != qualname:
                qualname = task.qualname
                housekeeping = is_housekeeping(qualname)
            outcome = task.outcome
            if housekeeping and outcome != FAILED:
                continue
            if (
                (task.ended_ns or now_ns) - task.created_ns >= SLOW_NS
                or (outcome is not RETURNED and outcome == FAILED)
                or (findings and task.name in findings)
            ):
                place.trace.important = True
            found.append(pair)
        return found

    def _children(self, batch: Batch, placed: _Placed, known: KnownTasks) -> dict[int, list[Link]]:
        """Return links from the tasks of a batch to what they created in other traces."""
        found: dict[int, list[Link]] = defaultdict(list)
        ours = {task.serial for task, _ in placed}
        linked = [pair for pair in placed if pair[1].link is not None or pair[1].trace.foreign]
        linked += [(task, self.traces.place(task, known)) for task in known.created_by(ours)]
        for task, place in linked:
            link = self.traces.link_of(task, place, known)
            if link is not None and task.creator in ours:
                kind = "created" if link.kind == "created_by" else "continued_by"
                found[task.creator].append(Link(place.trace.trace_id, place.span_id, kind))
        return found

    def _task_spans(
        self, placed: _Placed, children: Mapping[int, list[Link]], now_ns: int
    ) -> list[Ready]:
        make = self._maker.task
        spans: list[Ready] = []
        for some in slices(placed):
            others: Sequence[tuple[TaskRecord, Placement]] = some
            if self._plain is not None and not self._findings:
                others = self._plain.tasks(some, children, spans)
            for task, place in others:
                if not place.trace.kept:
                    continue
                findings = self._findings.pop(task.name, ()) if self._findings else ()
                links = children.get(task.serial, ()) if children else ()
                spans.append(make(task, place, findings, links, now_ns))
        return spans

    # -- what else there is to make ---------------------------------------------------------------

    def _work(
        self, batch: Batch, known: KnownTasks, now_ns: int, *, open_too: bool
    ) -> Iterator[tuple[Trace, Make]]:
        """Yield what else may have a span, with its trace; nothing is made for traces not kept."""
        maker = self._maker
        for wait in batch.waits:
            took_ns = (wait.ended_ns or now_ns) - wait.started_ns
            self._wait_serial += 1
            if (wait.op == "acquire" and took_ns >= SHORT_WAIT_NS) or open_too:
                place = self._owner(wait.task, known)
                yield place.trace, partial(maker.wait, wait, self._wait_serial, place, now_ns)
        yield from self._holds_and_sessions(batch, known, now_ns, open_too=open_too)
        for generator in batch.generators:
            if generator.finalized_by or open_too:
                place = self._owner(generator.owner, known)
                place.trace.important |= bool(generator.finalized_by)
                yield place.trace, partial(maker.generator, generator, place, now_ns)
        for period in batch.blocked:
            place = self._owner(known.get(period.task_serial), known)
            place.trace.important = True
            yield place.trace, partial(maker.blocked, period, place, now_ns)

    def _holds_and_sessions(
        self, batch: Batch, known: KnownTasks, now_ns: int, *, open_too: bool
    ) -> Iterator[tuple[Trace, Make]]:
        for held in batch.holds:
            if open_too or held.ended_ns - held.hold.at_ns >= SHORT_WAIT_NS:
                place = self._owner(held.hold.owner, known)
                yield place.trace, partial(self._maker.hold, held, place, now_ns)
        for session in batch.sessions:
            place = self._owner(session.owner, known)
            yield place.trace, partial(self._maker.session, session, place, now_ns)

    def _scopes(self, batch: Batch, known: KnownTasks, now_ns: int) -> list[tuple[Trace, Make]]:
        some: list[tuple[ScopeRecord, Static]] = []
        for lefts in slices(batch.scopes):
            some += shown(lefts, self._maker.statics)
        around = enclosing(scope for scope, _ in some)
        make = self._maker.scope if self._plain is None else self._plain.scope
        placed = self.traces.placed
        found: list[tuple[Trace, Make]] = []
        for scope, static in in_slices(some):
            owner = scope.owner
            place = (placed(owner.serial) if owner is not None else None) or self._owner(
                owner, known
            )
            if scope.expired_ns or (
                scope.irregularly_by and scope.irregularly_by != scope.owner_serial
            ):
                place.trace.important = True
            outer = around.get(scope.serial)
            found.append((place.trace, partial(make, scope, static, place, outer, now_ns)))
        return found

    def _owner(self, task: TaskRecord | None, known: KnownTasks) -> Placement:
        if task is not None:
            return self.traces.place(task, known)
        if self._orphans is None or self._orphans.trace.spans > 1000:
            self._orphans = self.traces.outside()
        return self._orphans

    # -- what is kept ------------------------------------------------------------------------

    def _choose(self, tasks: _Placed, work: list[tuple[Trace, Make]]) -> None:
        """Decide about all traces of a batch; in one piece, since each request may have one."""
        sizes: dict[Trace, int] = defaultdict(int)
        for _, place in tasks:
            sizes[place.trace] += 1
        for trace, _ in work:
            sizes[trace] += 1
        # What is important comes first, since the others share what is left.
        important = [item for item in sizes.items() if item[0].important]
        others = [item for item in sizes.items() if not item[0].important]
        budget = self._budget
        for some in (important, others):
            for trace, size in some:
                if not trace.sampled:
                    trace.kept = False
                elif trace.kept is None:
                    trace.kept = trace.important or budget.left > 0
                elif trace.important and not trace.kept:
                    trace.kept = trace.late = True
                if trace.kept:
                    budget.left -= size - trace.paid
                    trace.paid = 0
                else:
                    self.dropped["budget" if trace.sampled else "sampler"] += size


def _was_broken_off(wait: WaitRecord) -> bool:
    return wait.how != "resolved"


def _never(item: object) -> bool:
    return False
