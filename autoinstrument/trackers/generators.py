"""Asynchronous generators: who started them, and whether the program closed them."""

from collections import deque
from time import monotonic_ns
from types import FrameType
from typing import Any

from autoinstrument.places import capture_flat
from autoinstrument.records import GeneratorRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker, running_task


class GeneratorTracker:
    """Owns the records of asynchronous generators that were iterated at least once."""

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.live: dict[int, GeneratorRecord] = {}
        self.outbox: deque[GeneratorRecord] | None = None  # for the exporters
        self.finished: deque[GeneratorRecord] = deque(maxlen=256)
        self.started = 0
        self.ended = 0
        self.abandoned = 0
        self.stack_depth = stack_depth
        self._moments = moments
        self._tasks = tasks
        self._live = tasks.live

    def generator_started(self, generator: Any, frame: FrameType | None) -> None:
        """Record the first iteration; `frame` is the code that iterates."""
        record = GeneratorRecord(generator, self._gone)
        self.started = record.serial = self.started + 1
        record.key = id(generator)
        record.code = generator.ag_code
        record.qualname = generator.__qualname__
        try:  # as TaskTracker.current, without the call
            owner = self._live.get(id(running_task())) or self._tasks.current()
        except RuntimeError:  # no loop runs in this thread
            owner = None
        record.owner = owner
        if owner is not None and not owner.last_name:
            owner.remember_name()
        record.flat_stack = capture_flat(frame, self.stack_depth, owner)
        record.started_ns = monotonic_ns()
        record.finalized_by = ""
        self.live[record.key] = record

    def _gone(self, record: GeneratorRecord) -> None:
        self.live.pop(record.key, None)
        self.ended += 1
        self.finished.append(record)
        if self.outbox is not None:
            self.outbox.append(record)

    def record_of(self, generator: Any) -> GeneratorRecord | None:
        """Return the record of a generator that was iterated."""
        record = self.live.get(id(generator))
        return record if record is not None and record() is generator else None

    def of_loop(self, loop: Any) -> list[Any]:
        """Return the live generators that were started in a loop."""
        found = []
        for record in list(self.live.values()):
            generator = record()
            if generator is not None and record.loop_id == id(loop):
                found.append(generator)
        return found

    def by_frame(self, frame: FrameType) -> GeneratorRecord | None:
        """Return the record of the generator that owns a frame, also while it is finalised."""
        for record in list(self.live.values()):
            if record.code is frame.f_code:
                generator = record()
                if generator is not None and generator.ag_frame is frame:
                    return record
        for record in reversed(self.finished):
            if record.code is frame.f_code and record.finalized_by:
                return record
        return None

    def by_code(self, code: Any) -> GeneratorRecord | None:
        """Return the latest live generator made by a function."""
        found = [record for record in list(self.live.values()) if record.code is code]
        return found[-1] if found else None

    def generator_dropped(self, generator: Any, how: str) -> None:
        """Record that a started generator was not closed by the program, and `how` it came out."""
        # the interpreter clears weak references before it calls the finalizer
        record = self.record_of(generator) or self._lately(generator)
        if record is None or record.finalized_by:
            return
        frame = generator.ag_frame
        if frame is None or generator.ag_running:
            return
        record.finalized_by = how
        self.abandoned += 1
        self._moments.fire("generator_dropped", record, generator, how)

    def loop_gone(self, loop: Any) -> None:
        """Record that a loop closes no generator any more: those left by tasks that are over."""
        for generator in self.of_loop(loop):
            record = self.record_of(generator)
            if record is not None and record.owner is not None and record.owner.ended:
                self.generator_dropped(generator, "loop gone")

    def _lately(self, generator: Any) -> GeneratorRecord | None:
        for record in reversed(self.finished):
            if record.key == id(generator):
                return record if record.code is generator.ag_code else None
        return None

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {
            "started": self.started,
            "ended": self.ended,
            "open": len(self.live),
            "abandoned": self.abandoned,
        }
