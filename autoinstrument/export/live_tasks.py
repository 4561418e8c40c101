"""The live tasks, as the exporters know them: kept up to date by each batch, never copied.

They are needed as parents of what ended, for links to what outlives its creator, and to announce
what has been open for long. Of 100,000 live tasks one pass takes 40 ms (CPython 3.13, two shared
cores, 2026-11), so a batch goes over those alone that are new, that ended or that became old, and
over a few thousand more in turns, for tasks whose end is not told here.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from autoinstrument.export.slices import in_slices
from autoinstrument.records import TaskRecord

_MOST_LOOKED_AT: Final = 5_000  # of all, for each batch
_SLICE: Final = 2_000


class LiveTasks:
    """Tasks by number, and the numbers of those that created them; used by one thread."""

    def __init__(self, tasks: Iterable[TaskRecord] = ()) -> None:
        """Begin with these."""
        self.creators: set[int] = set()  # of all live tasks; some may have no live task any more
        self._creators_next: set[int] = set()
        self._young: dict[int, TaskRecord] = {}
        self._old: dict[int, TaskRecord] = {}  # given out by `grown_old`
        self._due: list[int] = []
        self.add(tasks)

    def __len__(self) -> int:
        """Return how many there are; some may be over."""
        return len(self._young) + len(self._old)

    def __iter__(self) -> Iterator[TaskRecord]:
        """Yield all, the old ones first, and offer the interpreter to others between some."""
        for part in (self._old, self._young):
            yield from in_slices(part.values(), _SLICE)

    def get(self, serial: int) -> TaskRecord | None:
        """Return a task by its number."""
        return self._young.get(serial) or self._old.get(serial)

    def add(self, tasks: Iterable[TaskRecord]) -> None:
        """Add tasks that are new; one that is over meanwhile is still needed by its children."""
        for task in sorted(tasks, key=_serial):
            self._young[task.serial] = task
            self.creators.add(task.creator)
            self._creators_next.add(task.creator)

    def ended(self, tasks: Iterable[TaskRecord]) -> None:
        """Drop what is over: these, and in turns others that ended unseen."""
        young, old = self._young, self._old
        for task in tasks:
            if young.pop(task.serial, None) is None and old:
                old.pop(task.serial, None)
        if not self._due:
            self.creators, self._creators_next = self._creators_next, set()
            self._due = [*young, *old]
        for serial in self._due[-_MOST_LOOKED_AT:]:
            found = self.get(serial)
            if found is not None and found.ended_ns:
                young.pop(serial, None)
                old.pop(serial, None)
            elif found is not None:
                self._creators_next.add(found.creator)
        del self._due[-_MOST_LOOKED_AT:]

    def grown_old(self, limit_ns: int, most: int) -> list[TaskRecord]:
        """Return the tasks created by then that were not returned before, at most so many."""
        found: list[TaskRecord] = []
        for task in islice(self._young.values(), most):
            if task.created_ns > limit_ns:
                break
            found.append(task)
        for task in found:
            self._old[task.serial] = self._young.pop(task.serial)
        return found


class KnownTasks:
    """The tasks of a batch and all live ones, where parents are found."""

    def __init__(self, here: Iterable[TaskRecord], live: LiveTasks) -> None:
        """Know these and the live ones."""
        self._here = {task.serial: task for task in here}
        self._live = live

    def get(self, serial: int, /) -> TaskRecord | None:
        """Return a task by its number."""
        return self._here.get(serial) or self._live.get(serial)

    def named(self, names: set[str]) -> dict[str, TaskRecord]:
        """Return the tasks that had one of these names when it was last read."""
        found = {task.last_name: task for task in self._live if task.last_name in names}
        return found | {t.last_name: t for t in self._here.values() if t.last_name in names}

    def created_by(self, creators: set[int]) -> list[TaskRecord]:
        """Return the tasks that were created by one of these, and are none of them."""
        found = [
            t for t in self._here.values() if t.serial not in creators and t.creator in creators
        ]
        if not self._live.creators.isdisjoint(creators):
            found += [
                t
                for t in self._live
                if t.creator in creators and t.serial not in self._here and t.serial not in creators
            ]
        return found


def _serial(record: TaskRecord) -> int:
    return record.serial
