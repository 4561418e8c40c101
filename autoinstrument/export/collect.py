"""Collects what ended since the last time into a batch for the exporters."""

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, TypeVar

from autoinstrument.export.batch import SPARE, Batch, BlockedPeriod
from autoinstrument.export.live_tasks import LiveTasks
from autoinstrument.export.threads import LoopThreads
from autoinstrument.records import (
    UNTIMED,
    LoopRecord,
    RawStack,
    TaskRecord,
    ended_wait,
    wait_record,
)
from autoinstrument.trackers.outbox import TaskOutbox, take_all
from autoinstrument.trackers.roster import Newcomers
from autoinstrument.trackers.tasks import outcome_of
from autoinstrument.world import World

if TYPE_CHECKING:
    from autoinstrument.findings import Finding

T = TypeVar("T")
_MOST_FINDINGS: Final = 10_000  # and blocked periods, between two batches


class Collector:
    """Gives the trackers outboxes and empties them."""

    def __init__(self, world: World) -> None:
        """Collect from now on; what ends faster than it is taken is dropped and counted.

        The outbox of tasks may take an eighth of the memory, at 500 bytes each: 16,000 of 64 MB.
        """
        self.dropped = 0
        self._taken: dict[str, int] = {}  # by kind, dropped ones of a parent process included
        keep = max(1_000, world.settings.memory_mb * 1_000_000 // 8 // 500)
        self._world = world
        self._passed_over = 0
        self._first = 0  # the last task that belongs to the process that was forked
        self._first_session = 0
        self._before: dict[str, int] = {}  # what that process counted
        self._findings: deque[Finding] = deque(maxlen=_MOST_FINDINGS)
        self._blocked: deque[BlockedPeriod] = deque(maxlen=_MOST_FINDINGS)
        # The budget lets a burst of two seconds out; of more, only what matters is handed over.
        self._tasks = TaskOutbox(keep, named=2 * world.settings.span_budget + SPARE)
        world.tasks.outbox = self._tasks
        world.scopes.outbox = deque(maxlen=keep)
        world.resources.outbox = deque(maxlen=keep // 4)
        world.resources.held = deque(maxlen=keep // 4)
        world.sessions.outbox = deque(maxlen=keep // 4)
        world.generators.outbox = deque(maxlen=keep // 4)
        self._live = LiveTasks()
        self._new = Newcomers(world.tasks.live, lambda: world.tasks.created)
        self._threads = LoopThreads(world.moments)
        world.findings.added.append(self._findings.append)
        world.moments.on("blocked", self._block_ended)

    def _block_ended(
        self, loop: LoopRecord, stack: RawStack, duration_ns: int, task: TaskRecord | None
    ) -> None:
        now = monotonic_ns()
        serial = task.serial if task is not None else 0
        self._blocked.append(BlockedPeriod(loop.serial, now - duration_ns, now, stack, serial))

    def batch(self) -> Batch:
        """Return what ended since the last call; called in the agent's thread, or at exit."""
        world = self._world
        ended = self._ended()  # before anything is taken out, as more ends meanwhile
        tasks = self._tasks.emptied()
        first = self._first
        self._live.add([task for task in self._new.take() if task.serial > first])
        self._live.ended(tasks)
        passed_over = self._tasks.passed_over
        left_out, self._passed_over = passed_over - self._passed_over, passed_over
        scopes = _emptied(world.scopes.outbox)
        generators = _emptied(world.generators.outbox)
        holds, sessions = _emptied(world.resources.held), _emptied(world.sessions.outbox)
        for kind, count in (
            ("tasks", len(tasks) + left_out),
            ("scopes", len(scopes)),
            ("holds", len(holds)),
            ("sessions", len(sessions)),
            ("generators", len(generators)),
        ):
            self._taken[kind] = self._taken.get(kind, 0) + count
        self.dropped = sum(max(0, ended[kind] - self._taken[kind]) for kind in ended)
        return Batch(
            tasks=[task for task in tasks if task.serial > first] if first else tasks,
            left_out=left_out,
            scopes=scopes,
            waits=[ended_wait(left) for left in _emptied(world.resources.outbox)],
            holds=holds,
            sessions=[session for session in sessions if session.serial > self._first_session],
            generators=generators,
            blocked=_emptied(self._blocked),
            findings=_emptied(self._findings),
            counters=self._counters(),
            live=self._live,
            threads=self._threads.known,
        )

    def _ended(self) -> dict[str, int]:
        world = self._world
        return {
            "tasks": world.tasks.ended,
            "scopes": world.scopes.left,
            "holds": world.resources.contended,
            "sessions": world.sessions.closed_count,
            "generators": world.generators.abandoned,
        }

    def _counters(self) -> dict[str, int]:
        return {
            f"tasks.{name}": count - self._before.get(f"tasks.{name}", 0)
            for name, count in self._world.tasks.statistics().items()
        }

    def settle(self) -> None:
        """Note the end of tasks that are over and not gone, where ends are not seen.

        Called at exit, before the last batch. Python 3.11 shows only the death of most tasks, and
        one may be kept: by the program, or by the traceback of its exception. All are given one
        time, an upper bound of their ends: nothing says that one outlived another.
        """
        tracker = self._world.tasks
        now_ns = monotonic_ns()
        for record in list(tracker.live.values()):
            task = record()
            if task is not None and not record.ended_ns and record.ended:
                tracker.task_ended(record, *outcome_of(task))
                record.ended_ns = now_ns
                record.told().ended_earlier = True

    def unfinished(self) -> Batch:
        """Return the work that is open now."""
        world = self._world
        first = self._first
        return Batch(
            tasks=self._pending(),
            scopes=[
                s for s in world.scopes.open if s.owner_serial > first and s.entered_ns != UNTIMED
            ],
            waits=[
                wait_record(entry)
                for task, entry in list(world.resources.waiting.items())
                if task > first
            ],
            holds=[h for h in world.resources.contended_holds() if h.hold.owner_serial > first],
            sessions=[
                session
                for session in list(world.sessions.open.values())
                if session.serial > self._first_session
            ],
            generators=[
                generator
                for generator in world.generators.live
                if generator.owner_serial > first and generator.started_ns != UNTIMED
            ],
        )

    def _pending(self) -> list[TaskRecord]:
        return [task for task in self._world.tasks.pending() if task.serial > self._first]

    def after_fork(self) -> None:
        """In a forked child: what began before the fork is the parent's to export."""
        world = self._world
        self._first = world.tasks.created
        self._live = LiveTasks()
        self._new = Newcomers(world.tasks.live, lambda: world.tasks.created)
        self._first_session = world.sessions.count
        self._before = {}
        self._before = self._counters()
        self._taken = self._ended()
        self._passed_over = self._tasks.passed_over
        for outbox in (
            self._findings,
            self._blocked,
            world.scopes.outbox,
            world.resources.outbox,
            world.resources.held,
            world.sessions.outbox,
            world.generators.outbox,
        ):
            if outbox is not None:
                outbox.clear()
        self._tasks.clear()


def _emptied(outbox: deque[T] | None) -> list[T]:
    return take_all(outbox) if outbox else []
