"""What the exporters are given of the tasks that end; called once for every task of the program."""

import asyncio
from collections import deque
from typing import Final, TypeVar

from autoinstrument.records import TaskRecord, name_of

T = TypeVar("T")
SLOW_NS: Final = 1_000_000_000
"""Tasks that took this long are exported whatever the budget says."""

SHORT_WAIT_NS: Final = 1_000_000
"""Waits for a lock shorter than this are in the histogram only, and holds are not shown."""

EVERY: Final = 17
"""Of the tasks that the budget leaves out, one in so many is handed over all the same, for the
histogram of durations. A prime, since programs make tasks in groups."""

_MOST_CREATORS: Final = 20_000


class TaskOutbox:
    """Ended tasks, until the exporters take them.

    Beyond the budget it is decided here, at the price of a few comparisons, whether a task may
    be exported: to hand all tasks of a storm over would cost a tenth of a task each. What failed,
    was cancelled or slow always is, and what created others that are handed over.
    """

    __slots__ = ("_creators", "_waiting", "named", "passed_over")

    def __init__(self, most: int, named: int) -> None:
        """Start empty.

        Args:
            most: tasks that may wait; of more the oldest are dropped.
            named: how many may wait before only what matters is handed over.
        """
        self.named = named
        self.passed_over = 0  # tasks that ended and were not handed over
        self._waiting: deque[TaskRecord] = deque(maxlen=most)
        self._creators: set[int] = set()

    @property
    def most(self) -> int | None:
        """How many tasks may wait."""
        return self._waiting.maxlen

    def task_ended(self, record: TaskRecord) -> None:
        """Take a task, with its name if it may be exported."""
        waiting = len(self._waiting)
        if (
            waiting < self.named
            or record.story is not None
            or record.ended_ns - record.created_ns >= SLOW_NS
            or record.serial in self._creators
        ):
            task = record()
            if type(task) is asyncio.Task:  # whose name is a `str`
                record.last_name = task.get_name()
            elif task is not None:
                record.last_name = name_of(task, record.serial, record.last_name)
            elif not record.last_name:
                record.last_name = f"task {record.serial}"
            if len(self._creators) < _MOST_CREATORS:
                self._creators.add(record.creator)
        elif record.serial % EVERY or waiting == self._waiting.maxlen:
            self.passed_over += 1
            return
        self._waiting.append(record)

    def emptied(self) -> list[TaskRecord]:
        """Take everything out; in the agent's thread, or at exit."""
        self._creators = set()  # what ends from now on comes the next time
        return take_all(self._waiting)

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self._waiting.clear()
        self._creators = set()


def take_all(outbox: deque[T]) -> list[T]:
    """Take everything out of an outbox that other threads fill meanwhile."""
    found: list[T] = []
    add, take = found.append, outbox.popleft
    try:
        for _ in range(len(outbox)):  # what ends meanwhile comes next time
            add(take())
    except IndexError:  # emptied by the exit, on another thread
        pass
    return found
