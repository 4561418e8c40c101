"""Records made by hand, with a clock that the test turns."""

from types import CodeType
from typing import Any

from autoinstrument.export.batch import Batch
from autoinstrument.export.live_tasks import LiveTasks
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.span import Span
from autoinstrument.findings import Finding
from autoinstrument.places import Place
from autoinstrument.records import (
    CANCELLED,
    ENDED,
    FAILED,
    RETURNED,
    CancelOrigin,
    ContendedHold,
    FlatStack,
    GeneratorRecord,
    Hold,
    LockRecord,
    RawStack,
    ScopeRecord,
    SessionRecord,
    TaskRecord,
    WaitRecord,
    scope_record,
)

MS = 1_000_000


class Thing:
    """Something that can be referred to weakly, like a task or a lock."""


def function(name: str, file: str = "/srv/app.py", line: int = 10) -> CodeType:
    last = name.rsplit(".", 1)[-1].replace("-", "_")
    module = compile("\n" * (line - 1) + f"async def {last}(): pass", file, "exec")
    code = next(item for item in module.co_consts if isinstance(item, CodeType))
    return code.replace(co_qualname=name)


def place(name: str, line: int = 10, file: str = "/srv/app.py") -> RawStack:
    return ((function(name, file, line), -1),)


def flat(name: str, line: int) -> FlatStack:
    return place(name, line)[0]


class Play:
    """Makes records; `now` counts milliseconds."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskRecord] = {}
        self.alive: dict[str, Any] = {}
        self._scopes = 0
        self._locks = 0

    def task(
        self,
        name: str,
        created: int = 0,
        ended: int = 0,
        *,
        by: str = "",
        outcome: str = RETURNED,
        error: str = "",
        qualname: str = "",
        program: tuple[int, int, int] | None = None,
        exact: bool = True,
    ) -> TaskRecord:
        thing = self.alive[name] = Thing()
        record = TaskRecord(thing)
        for slot in TaskRecord.__slots__:
            setattr(record, slot, None)
        record.key = id(thing)
        record.serial = len(self.tasks) + 1
        record.last_name = name
        record.qualname = qualname or name
        record.code = function(qualname or name)
        record.creator = self.tasks[by].serial if by else 0
        record.flat_stack = flat(by or "main", 20)
        record.loop_id = 0
        record.created_ns = created * MS
        record.ended_ns = ended * MS
        record.outcome = (outcome if exact else ENDED) if ended else ""
        if error:
            record.told().error_type = error
            record.told().raised_at = place(name, 30)
        if program is not None:
            record.trace = program
        self.tasks[name] = record
        return record

    def scope(self, kind: str, owner: str, entered: int, left: int = 0) -> ScopeRecord:
        self._scopes += 1
        task = self.tasks[owner]
        entry = [0, kind, self._scopes, entered * MS, flat(owner, 40), False, None]
        record = scope_record(entry, task)
        record.left_ns = left * MS
        if not left:
            task.open_scopes = [*(task.open_scopes or []), entry]
        return record

    def wait(self, owner: str, started: int, ended: int = 0, op: str = "acquire") -> WaitRecord:
        record = WaitRecord()
        record.task = self.tasks[owner]
        record.lock = self._lock()
        record.op = op
        record.started_ns = started * MS
        record.flat_stack = flat(owner, 50)
        record.passed = 0
        record.ended_ns = ended * MS
        record.how = "resolved" if ended else ""
        return record

    def _lock(self) -> LockRecord:
        self._locks += 1
        lock = LockRecord(Thing())
        lock.serial = self._locks
        lock.kind = "asyncio.Lock"
        lock.known_holds = []
        lock.again = 0
        lock.owner = None
        return lock

    def hold(self, owner: str, started: int, ended: int = 0, waiters: int = 1) -> ContendedHold:
        hold = Hold(self._lock(), self.tasks[owner], started * MS, flat(owner, 80))
        return ContendedHold(hold, ended * MS, waiters)

    def session(self, kind: str, owner: str, opened: int, closed: int = 0) -> SessionRecord:
        record = SessionRecord()
        record.serial = 1
        record.kind = kind
        record.name = f"{kind}.Client"
        record.owner = self.tasks[owner] if owner else None
        record.opened_ns = opened * MS
        record.flat_stack = flat(owner or "main", 90)
        record.closed_ns = closed * MS
        record.end_is_exact = True
        return record

    def generator(self, name: str, owner: str, started: int, finalized: str) -> GeneratorRecord:
        record = GeneratorRecord(Thing())
        record.serial = 1
        record.code = function(name)
        record.last_qualname = name
        record.owner = self.tasks[owner]
        record.flat_stack = flat(owner, 60)
        record.started_ns = started * MS
        record.finalized_by = finalized
        return record

    def cancelled_by(self, name: str, by: str, at: int, via: str = "task.cancel") -> None:
        origin = CancelOrigin(at * MS, self.tasks[by].serial, by, flat(by, 70), (), via=via)
        self.tasks[name].told().cancels = [origin]

    def batch(self, *names: str, **more: Any) -> Batch:
        """Return a batch with the tasks named (all that are over, if none is)."""
        over = [r for r in self.tasks.values() if r.ended_ns]
        tasks = [self.tasks[name] for name in names] if names else over
        live = [r for r in self.tasks.values() if not r.ended_ns]
        return Batch(tasks=tasks, live=LiveTasks(live), **more)


def finding(task: str, kind: str = "blocking_call") -> Finding:
    return Finding(
        kind=kind,
        message=f"Task {task} did it.",
        remedy="Do not.",
        location=Place("/srv/app.py", 12, "work"),
        task=task,
        first_seen=1.5,
    )


def ran(pipeline: Pipeline, batch: Batch, unfinished: Batch | None = None) -> list[Span]:
    """Return the spans of a batch, none of which came as JSON."""
    spans, _ = pipeline.run(batch, unfinished)
    found = [span for span in spans if isinstance(span, Span)]
    assert len(found) == len(spans)
    return found


__all__ = ["CANCELLED", "FAILED", "MS", "RETURNED", "Play", "finding", "place", "ran"]
