"""Looks at the live tasks in turns, once for all detectors: which of them wait, and since when.

At each tick a bounded number of tasks is looked at, and a bounded number of those that wait for a
lock, so that a tick takes as long beside 100,000 tasks as beside a few hundred. Where nothing can
have moved since the last tick, tasks that were looked at are left alone.

Runs in the agent's thread.
"""

import time
from collections.abc import Iterator
from operator import itemgetter
from time import monotonic_ns
from typing import Final

from autoinstrument import stacks
from autoinstrument.records import OpenWait, TaskRecord, wait_record
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.roster import Roster
from autoinstrument.trackers.tasks import TaskTracker

MOST_LOOKS: Final = 500  # at tasks, and at waits, in each tick
_SLICE: Final = 500
_GIVE_WAY_NS: Final = 3_000_000
_ROUNDS: Final = 3  # in which everything is seen and judged, once nothing moves any more
_give_way = time.sleep  # bound before a test suite mocks it


class Looks:
    """Notes since when each task waits for the same thing, and tells the detectors."""

    def __init__(self, tasks: TaskTracker, resources: ResourceTracker, moments: Moments) -> None:
        """Look at the records of these trackers on each tick."""
        self.still = False
        """Set by whoever knows that no loop has run since the last tick."""
        self.calm = True
        """Set by the same: no loop is busy."""
        self.moved_ns = 0
        """When a task was last seen to have moved, to have come or to have gone."""
        self.tasks: Roster[TaskRecord] = Roster(
            tasks.live, lambda: tasks.created, lambda task: bool(task.ended_ns) or task() is None
        )
        self._waits: Roster[OpenWait] = Roster(
            resources.waiting, lambda: resources.waits, _is_over, itemgetter(3)
        )
        self._tasks = tasks
        self._moments = moments
        self._counts = (0, 0)
        self._round = self._last_round = 0  # when they began
        self._seen = 0  # rounds since something moved
        moments.on("tick", self.tick)

    @property
    def is_done(self) -> bool:
        """Whether, while nothing moves, nothing is left to be seen at the next tick."""
        return self._seen >= _ROUNDS and not len(self._waits)

    def tick(self, now_ns: int) -> None:
        """Look at the next tasks and waits, and tell which of them last."""
        counts = (self._tasks.created, self._tasks.ended)
        if not self.still or counts != self._counts:
            self._seen = 0
        if counts != self._counts:
            self._counts, self.moved_ns = counts, now_ns
        if self._seen < _ROUNDS:
            self._look_at_tasks(now_ns)
        waits = self._waits.turn(MOST_LOOKS)
        if waits:
            self._moments.fire("locks_waited_for", now_ns, [wait_record(wait) for wait in waits])

    def _look_at_tasks(self, now_ns: int) -> None:
        rounds = self.tasks.rounds
        records = self.tasks.turn(MOST_LOOKS)
        if self.tasks.rounds != rounds:
            self._last_round, self._round = self._round, now_ns
            self._seen += 1
        lasting = [record for record in records if self._lasts(record, now_ns)]
        if lasting:
            self._moments.fire("tasks_wait", lasting)

    def _lasts(self, record: TaskRecord, now_ns: int) -> bool:
        """Whether a task waits as it did in the round before, and did not in the one before that.

        So each wait is judged once, at the second look.
        """
        task = record()
        waiter = stacks.awaited(task) if task is not None else None
        waiter_id = id(waiter) if waiter is not None else 0
        if record.waiter_id == waiter_id:
            return waiter_id != 0 and self._last_round <= record.parked_ns < self._round
        record.waiter_id, record.parked_ns = waiter_id, now_ns
        self.moved_ns = now_ns
        return False

    def slices(self) -> Iterator[list[TaskRecord]]:
        """Yield all records of live tasks in slices, and give way every few milliseconds.

        A loop that computes without a pause keeps the interpreter for 5 ms each time, so that to
        give way more often would take seconds. In the agent's thread only; what begins or ends
        meanwhile may be missing.
        """
        due_ns = monotonic_ns() + _GIVE_WAY_NS
        for records in self.tasks.slices(_SLICE):
            yield records
            if monotonic_ns() >= due_ns:
                _give_way(0)
                due_ns = monotonic_ns() + _GIVE_WAY_NS

    def has_moved(self) -> bool:
        """Whether a task waits for something else than at the last look; looks at all of them."""
        for records in self.slices():
            for record in records:
                task = record()
                if task is not None and not record.ended_ns and _moved(record, task):
                    return True
        return False


def _moved(record: TaskRecord, task: object) -> bool:
    waiter = stacks.awaited(task)
    return record.waiter_id != (id(waiter) if waiter is not None else 0)


def _is_over(wait: OpenWait) -> bool:
    return wait[1] != "acquire" or wait[5].open_wait is not wait
