"""What the agent hands to the exporters: records that are over, and how to export them."""

from dataclasses import dataclass, field
from typing import Final

from autoinstrument.export.live_tasks import LiveTasks
from autoinstrument.export.threads import Threads
from autoinstrument.findings import Finding
from autoinstrument.records import (
    ContendedHold,
    GeneratorRecord,
    LeftScope,
    RawStack,
    ScopeRecord,
    SessionRecord,
    TaskRecord,
    WaitRecord,
)

SPARE: Final = 500
"""Tasks looked at in one batch beyond what the budget has room for."""


@dataclass(frozen=True, slots=True)
class BlockedPeriod:
    """One turn of a loop that lasted too long, with the line that was seen running."""

    loop_serial: int
    started_ns: int
    ended_ns: int  # 0 while the loop is still blocked
    stack: RawStack
    task_serial: int  # 0 when no task was running


@dataclass(slots=True)
class Batch:
    """The work that ended since the last batch; as `unfinished`, the work that is open at exit.

    `counters` are exact counts since the start, by dotted name (`tasks.created`). Exporters
    read records and change nothing in them but `TaskRecord.trace`, which is theirs.
    """

    tasks: list[TaskRecord] = field(default_factory=list)
    left_out: int = 0
    """Tasks that ended and are not in `tasks`, as the budget has no room for them: one in `EVERY`,
    by its number, is in it all the same."""
    scopes: list[ScopeRecord | LeftScope] = field(default_factory=list)
    """Of most there is no record; one is made of what is exported (`scopes.py`)."""
    waits: list[WaitRecord] = field(default_factory=list)
    holds: list[ContendedHold] = field(default_factory=list)
    sessions: list[SessionRecord] = field(default_factory=list)
    generators: list[GeneratorRecord] = field(default_factory=list)
    blocked: list[BlockedPeriod] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    live: LiveTasks = field(default_factory=LiveTasks)
    """Tasks that still run; never exported from here, but needed as parents."""
    threads: Threads = field(default_factory=dict)
    """The threads in which loops run or ran, for `thread_of`."""
    delays_ns: list[int] = field(default_factory=list)
    """How late each heartbeat of a loop came since the last batch."""
    utilization: dict[int, float] = field(default_factory=dict)
    """Share of the time in which a loop was busy since the last batch, by the loop's serial."""

    def is_empty(self) -> bool:
        """Whether it holds no work at all."""
        work = (self.tasks, self.scopes, self.waits, self.holds, self.sessions, self.generators)
        return not any(work) and not self.blocked and not self.findings


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How to export; `exporters` are names such as `otlp`, already without `auto`."""

    exporters: tuple[str, ...] = ()
    file: str = ""  # empty: asyncscope-<pid>.jsonl in the working directory
    span_budget: int = 1000  # spans a second
    instance_id: str = ""  # service.instance.id; empty: one is made up
    long_open_s: float = 60.0  # work open this long is announced; 0 is never
    memory_mb: int = 64  # of this, traces may take a quarter, and requests that wait an eighth

    @property
    def most_placed(self) -> int:
        """How many tasks are remembered with their place in a trace; each takes about 450 bytes."""
        return max(1_000, self.memory_mb * 1_000_000 // 4 // 450)

    @property
    def most_queued_bytes(self) -> int:
        """How much may wait to be sent."""
        return max(250_000, self.memory_mb * 1_000_000 // 8)
