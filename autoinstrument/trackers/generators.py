"""Asynchronous generators: who started them, and whether the program closed them.

Every generator is written down at its first iteration, by woven code as a rule. Nobody is told of
its death: its entry stays in the table until another generator has the same address, or until the
dead are swept out.
"""

import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from types import CodeType, FrameType
from typing import Any, Final

from autoinstrument.places import capture_flat
from autoinstrument.records import UNTIMED, FlatStack, GeneratorRecord, StartedGenerator
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.running import running_task
from autoinstrument.trackers.tasks import TaskTracker, nobody

COLLECTED: Final = "collected"
_ROOM: Final = 256  # entries in the table before the first sweep
# Stack, owner and code of the generator that was collected last, and its record.
_NO_DROP: Final[tuple[FlatStack, Any, Any, GeneratorRecord | None]] = ((), None, None, None)


class GeneratorTracker:
    """Owns the records of asynchronous generators that were iterated at least once."""

    def __init__(self, moments: Moments, tasks: TaskTracker, stack_depth: int = 8) -> None:
        """Start empty; see `TaskTracker` for the arguments."""
        self.outbox: deque[GeneratorRecord] | None = None  # for the exporters
        self.dropped: deque[GeneratorRecord] = deque(maxlen=256)  # the last ones
        self.started = 0
        self.stack_depth = stack_depth
        self.last: Callable[[], Any] = nobody  # record of the task that started one last
        self.entries: dict[int, StartedGenerator] = {}  # by identity; some are dead
        self._room = _ROOM
        self._abandoned = 0
        self._last_drop = _NO_DROP
        self._moments = moments
        self._tasks = tasks
        self._live_tasks = tasks.live

    # -- facts told by hooks ---------------------------------------------------------------

    def generator_started(self, generator: Any, frame: FrameType | None) -> None:
        """Record the first iteration; `frame` is the code that iterates.

        Almost always woven code does the same (`hooks/asyncio_generators.py`).
        """
        try:  # as TaskTracker.current, without the call
            owner = self._live_tasks.get(id(running_task())) or self._tasks.current()
        except RuntimeError:  # no loop runs in this thread
            owner = None
        if owner is not None and not owner.last_name:
            owner.remember_name()
        self.started += 1
        self.entries[id(generator)] = [
            weakref.proxy(generator),
            generator.ag_code,
            owner,
            capture_flat(frame, self.stack_depth, owner),
            UNTIMED if self.outbox is None else monotonic_ns(),
            self.started,
            None,
        ]
        self.sweep()

    def sweep(self) -> None:
        """Forget the dead if the table is full; half of it then is the next start's at least."""
        entries = self.entries
        if len(entries) <= self._room:
            return
        for key, entry in list(entries.items()):
            if _alive(entry) is None:
                gone = entries.pop(key, entry)
                if gone is not entry:  # another thread has just started one there
                    entries.setdefault(key, gone)
        self._room = max(_ROOM, 2 * len(entries))

    def generator_collected(self, generator: Any) -> None:
        """Record that the collector found a started generator; many are like the last one."""
        entry = self.entries.get(id(generator))
        if entry is None or entry[1] is not generator.ag_code or generator.ag_running:
            return
        stack, owner, code, last = self._last_drop
        if (
            last is not None
            and entry[2] is owner
            and entry[1] is code
            and entry[3] == stack
            and entry[3][0] is stack[0]  # code of another file may be equal
            and entry[-1] is None
            and self.outbox is None
        ):
            last.again += 1
        else:
            self.generator_dropped(generator, COLLECTED)

    def generator_dropped(self, generator: Any, how: str) -> None:
        """Record that a started generator was not closed by the program, and `how` it came out."""
        # not `record_of`: the interpreter clears weak references before it calls the finalizer
        entry = self.entries.get(id(generator))
        if entry is None or entry[1] is not generator.ag_code:
            return
        if generator.ag_running or (how != COLLECTED and generator.ag_frame is None):
            return  # the interpreter finalizes none that is over
        record = entry[-1] or _record(entry, generator)
        if record.finalized_by:
            return
        record.finalized_by = how
        record.last_qualname = generator.__qualname__
        self._abandoned += 1
        self.dropped.append(record)
        if self.outbox is not None and record.started_ns != UNTIMED:  # else it came first
            self.outbox.append(record)
        last, self._last_drop = self._last_drop[-1], _NO_DROP  # nobody counts for it any more
        self._tell_again(last)
        self._moments.fire("generator_dropped", record, generator, how)
        if how == COLLECTED and record.flat_stack:
            self._last_drop = (record.flat_stack, record.owner, record.code, record)

    def tell_again(self) -> None:
        """Tell how many more were dropped like the last one; called before anybody looks."""
        self._tell_again(self._last_drop[-1])

    def _tell_again(self, record: GeneratorRecord | None) -> None:
        if record is not None and record.again:
            times, record.again = record.again, 0
            self._abandoned += times
            self._moments.fire("generator_dropped_again", record, times)

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
        entry = self.entries.get(id(generator))
        if entry is None or generator.ag_running:
            return False
        try:
            return entry[2] is self._live_tasks.get(id(running_task()))
        except RuntimeError:  # no loop runs in this thread
            return False

    @property
    def live(self) -> list[GeneratorRecord]:
        """The records of generators that exist, oldest first."""
        found = []
        for entry in list(self.entries.values()):
            generator = _alive(entry)
            if generator is not None:
                found.append(entry[-1] or _record(entry, generator))
        return sorted(found, key=_serial)

    @property
    def abandoned(self) -> int:
        """How many were not closed by the program."""
        record = self._last_drop[-1]
        return self._abandoned + (record.again if record is not None else 0)

    @property
    def ended(self) -> int:
        """How many generators are gone."""
        return self.started - self._count_live()

    def _count_live(self) -> int:
        return sum(_alive(entry) is not None for entry in list(self.entries.values()))

    def record_of(self, generator: Any) -> GeneratorRecord | None:
        """Return the record of a generator that was iterated."""
        entry = self.entries.get(id(generator))
        if entry is None or _alive(entry) is not generator:
            return None
        return entry[-1] or _record(entry, generator)

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
        live = self._count_live()
        return {
            "started": self.started,
            "ended": self.started - live,
            "open": live,
            "abandoned": self.abandoned,
        }


def _alive(entry: StartedGenerator) -> Any:
    """Return a generator that was written down, or None if it is gone."""
    try:
        return entry[0].__aiter__()  # of all generators itself
    except ReferenceError:
        return None


def _record(entry: StartedGenerator, generator: Any) -> GeneratorRecord:
    """Make the record of a generator; two threads that ask at once get the same one."""
    record = GeneratorRecord(generator)
    _, record.code, record.owner, record.flat_stack, record.started_ns, record.serial, _ = entry
    record.finalized_by = record.last_qualname = ""
    record.again = 0
    if entry[-1] is None:
        entry[-1] = record
    made: GeneratorRecord = entry[-1]
    return made


def _serial(record: GeneratorRecord) -> int:
    return record.serial
