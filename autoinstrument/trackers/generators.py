"""Asynchronous generators: who started them, and whether the program closed them.

`generator_started` runs once for every generator. Nobody is told of its death: a record stays in
the table until another generator has the same address, or until the dead are swept out.
"""

from collections import deque
from time import monotonic_ns
from types import CodeType, FrameType
from typing import Any, Final

from autoinstrument.places import capture_flat
from autoinstrument.records import GeneratorRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker, running_task

_ROOM: Final = 256  # records in the table before the first sweep


class GeneratorTracker:
    """Owns the records of asynchronous generators that were iterated at least once."""

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.outbox: deque[GeneratorRecord] | None = None  # for the exporters
        self.dropped: deque[GeneratorRecord] = deque(maxlen=256)  # the last ones
        self.started = 0
        self.abandoned = 0
        self.stack_depth = stack_depth
        self._records: dict[int, GeneratorRecord] = {}  # by identity; some are dead
        self._room = _ROOM
        self._moments = moments
        self._tasks = tasks
        self._live_tasks = tasks.live

    # -- facts told by hooks ---------------------------------------------------------------

    def generator_started(self, generator: Any, frame: FrameType | None) -> None:
        """Record the first iteration; `frame` is the code that iterates."""
        record = GeneratorRecord(generator)
        self.started = record.serial = self.started + 1
        record.code = generator.ag_code
        try:  # as TaskTracker.current, without the call
            owner = self._live_tasks.get(id(running_task())) or self._tasks.current()
        except RuntimeError:  # no loop runs in this thread
            owner = None
        record.owner = owner
        if owner is not None and not owner.last_name:
            owner.remember_name()
        record.flat_stack = capture_flat(frame, self.stack_depth, owner)
        record.started_ns = monotonic_ns()
        record.finalized_by = record.last_qualname = ""
        records = self._records
        records[id(generator)] = record
        if len(records) > self._room:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the dead; as many starts as there are live ones pass until the next time."""
        for key, record in list(self._records.items()):
            if record() is None:
                gone = self._records.pop(key, record)
                if gone is not record:  # another thread has just started one there
                    self._records.setdefault(key, gone)
        self._room = max(_ROOM, 2 * len(self._records))

    def generator_dropped(self, generator: Any, how: str) -> None:
        """Record that a started generator was not closed by the program, and `how` it came out."""
        # not `record_of`: the interpreter clears weak references before it calls the finalizer
        record = self._records.get(id(generator))
        if record is None or record.finalized_by or record.code is not generator.ag_code:
            return
        if generator.ag_running or generator.ag_frame is None:
            return
        record.finalized_by = how
        record.last_qualname = generator.__qualname__
        self.abandoned += 1
        self.dropped.append(record)
        if self.outbox is not None:
            self.outbox.append(record)
        self._moments.fire("generator_dropped", record, generator, how)

    def loop_gone(self, loop: Any) -> None:
        """Record that a loop closes no generator any more: those left by tasks that are over."""
        for generator in self.of_loop(loop):
            record = self.record_of(generator)
            if record is not None and record.owner is not None and record.owner.ended:
                self.generator_dropped(generator, "loop gone")

    def generator_called(self, generator: Any, method: str, frame: FrameType) -> None:
        """Record that `aclose()` or the like is called in `frame`; see `is_at_home`."""
        self._moments.fire("generator_called", generator, method, self._tasks.current(), frame)

    # -- questions -------------------------------------------------------------------------

    def is_at_home(self, generator: Any) -> bool:
        """Whether nobody is inside a generator, and the running task is the one that started it.

        A call of it is then as it should be, and of no interest to any detector.
        """
        record = self._records.get(id(generator))
        if record is None or generator.ag_running:
            return False
        try:
            return record.owner is self._live_tasks.get(id(running_task()))
        except RuntimeError:  # no loop runs in this thread
            return False

    @property
    def live(self) -> list[GeneratorRecord]:
        """The records of generators that exist, oldest first."""
        found = [record for record in list(self._records.values()) if record() is not None]
        return sorted(found, key=_serial)

    @property
    def ended(self) -> int:
        """How many generators are gone."""
        return self.started - len(self.live)

    def record_of(self, generator: Any) -> GeneratorRecord | None:
        """Return the record of a generator that was iterated."""
        record = self._records.get(id(generator))
        return record if record is not None and record() is generator else None

    def of_loop(self, loop: Any) -> list[Any]:
        """Return the live generators that were started in a loop."""
        return [record() for record in self.live if record.loop_id == id(loop)]

    def by_frame(self, frame: FrameType) -> GeneratorRecord | None:
        """Return the record of the generator that owns a frame, also while it is finalised."""
        for record in self.live:
            if record.code is frame.f_code:
                generator = record()
                if generator is not None and generator.ag_frame is frame:
                    return record
        for record in reversed(self.dropped):
            if record.code is frame.f_code:
                return record
        return None

    def by_code(self, code: CodeType) -> GeneratorRecord | None:
        """Return the latest generator made by a function: a live one, else one that was dropped."""
        for record in (*reversed(self.live), *reversed(self.dropped)):
            if record.code is code:
                return record
        return None

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        live = len(self.live)
        return {
            "started": self.started,
            "ended": self.started - live,
            "open": live,
            "abandoned": self.abandoned,
        }


def _serial(record: GeneratorRecord) -> int:
    return record.serial
