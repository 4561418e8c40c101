"""A wait that nobody could resolve: it ended by a deadline, a cancellation or the program's end."""

import threading
from itertools import islice
from time import monotonic_ns
from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import (
    at,
    frame_place,
    functions_of,
    is_users_task,
    opening,
    related,
    shown,
    task_text,
)
from autoinstrument.detectors._waits import awaited_tasks
from autoinstrument.findings import Finding
from autoinstrument.places import is_user_file
from autoinstrument.records import CancelOrigin, RawStack, TaskRecord
from autoinstrument.world import World

KIND: Final = "wait_never_resolved"
_LONG_NS: Final = 1_000_000_000
_IDLE = {"get", "accept", "sock_accept", "serve_forever", "sleep", "wait"}
_MOST_ALIKE: Final = 2
_MOST_COMPARED: Final = 200  # each wait looks at each task, at the end of the program too
_MOST_ENDING: Final = 10_000  # waits judged at the end of a loop, which waits for that
_PERHAPS: Final = "possible: "  # somebody else may do the same
_RESOLVERS = {"set_result", "set_exception"}


def attach(world: World) -> None:
    """Judge when a long wait is broken off."""
    checks = _Checks(world)
    world.moments.on("wait_cancelled", checks.wait_cancelled)
    world.moments.on("wait_expired", checks.wait_expired)
    world.moments.on("loop_ending", checks.ending)
    world.moments.on("loop_closing", checks.ending)


class _Checks:
    def __init__(self, world: World) -> None:
        self._world = world
        self._said: set[int] = set()

    def wait_cancelled(self, record: TaskRecord, origin: CancelOrigin) -> None:
        """A task is cancelled: had it waited long for something that could not come?"""
        if origin.via != "shutdown":
            self._judge(record, origin.at_ns)

    def wait_expired(self, record: TaskRecord, stack: RawStack) -> None:
        """The deadline of `wait_for` ends a wait for a future; the task itself runs now."""
        since = record.waits_since_ns
        if not since or record.serial in self._said or not is_users_task(record):
            return
        took = monotonic_ns() - since
        why = self._future_without_resolver(record, stack)
        if took >= _LONG_NS - 150_000_000 and _is_bare(stack) and why:
            self._said.add(record.serial)
            self._world.report(_finding(record, stack, why, took / 1e9))

    def ending(self, loop: Any) -> None:
        """The program ends: judge every long wait."""
        of_loop = [record for record in self._world.tasks.pending() if record.loop_id == id(loop)]
        for record in of_loop[:_MOST_ENDING]:
            self._judge(record, monotonic_ns())

    def _judge(self, record: TaskRecord, now_ns: int) -> None:
        task = record()
        if task is None or record.serial in self._said:
            return
        since = record.waits_since_ns
        if not since or now_ns - since < _LONG_NS - 150_000_000:
            return
        if id(stacks.awaited(task)) != record.waiter_id:
            return
        if not is_users_task(record) or awaited_tasks(self._world, task):
            return
        parked = stacks.parked(task)
        why = self._reason(record, task, parked)
        if why:
            self._said.add(record.serial)
            self._world.report(_finding(record, parked, why, (now_ns - since) / 1e9))

    def _reason(self, record: TaskRecord, task: Any, parked: RawStack) -> str:
        """Return why nobody could resolve this wait, or "" where that cannot be said."""
        names = {code.co_qualname for code, _ in parked}
        reasons = {
            "Queue.join": self._queue_without_workers,
            "Process.wait": self._unread_pipe,
            "MemoryObjectSendStream.send": self._stream_without_receiver,
            "Barrier.wait": self._barrier_without_parties,
            "Queue.put": self._queue_without_takers,
        }
        for name, reason in reasons.items():
            if name in names:
                return reason(task)
        if _is_bare(parked):
            return self._future_without_resolver(record, parked)
        return ""

    def _queue_without_workers(self, task: Any) -> str:
        queue = stacks.frame_locals(task, "Queue.join").get("self")
        if queue is None:
            return ""
        takers = self._world.resources.consumers.get(id(queue), [])
        if any(not taker.ended for taker in takers) or queue._getters:
            return ""
        if takers:
            who = ", ".join(task_text(taker) for taker in takers[:3])
            return f"the tasks that took items from the queue are over without task_done(): {who}"
        return "no task takes items from the queue" if queue.qsize() else ""

    def _queue_without_takers(self, task: Any) -> str:
        queue = stacks.frame_locals(task, "Queue.put").get("self")
        if queue is None or queue._getters:
            return ""
        takers = self._world.resources.consumers.get(id(queue), [])
        if any(not taker.ended for taker in takers):
            return ""
        if not takers:
            return "the queue is full and no task has ever taken an item out of it"
        return "the queue is full and the tasks that took items out of it are over"

    def _stream_without_receiver(self, task: Any) -> str:
        stream = stacks.frame_locals(task, "MemoryObjectSendStream.send").get("self")
        state = getattr(stream, "_state", None)
        if state is None or getattr(state, "waiting_receivers", True):
            return ""
        others = [
            other
            for other in self._world.tasks.pending()
            if other() is not task and not self._waits_for(other, task)
        ]
        return "" if others else "no other task is left that could receive from the stream"

    def _barrier_without_parties(self, task: Any) -> str:
        barrier: Any = stacks.frame_locals(task, "Barrier.wait").get("self")
        if barrier is None or barrier.n_waiting >= barrier.parties:
            return ""
        for other in self._world.tasks.pending():
            waiting = other()
            if waiting is None or waiting is task or self._waits_for(other, task):
                continue
            if stacks.frame_locals(waiting, "Barrier.wait").get("self") is not barrier:
                return ""
        return (
            f"only {barrier.n_waiting} of {barrier.parties} parties are at the barrier, and no "
            "other task is left that could come to it"
        )

    def _unread_pipe(self, task: Any) -> str:
        process = stacks.frame_locals(task, "Process.wait").get("self")
        for name in ("stdout", "stderr"):
            stream = getattr(process, name, None)
            if getattr(stream, "_paused", False):
                return f"the child process cannot end: its {name} pipe is full and nobody reads it"
        return ""

    def _future_without_resolver(self, record: TaskRecord, parked: RawStack) -> str:
        """A bare future: whoever would have set its result must be gone.

        That is a task of the same source file which sets results. Of many such tasks, as they
        come with each request, none is the one that serves all waits.
        """
        task = record()
        live = list(self._world.tasks.live.values())
        pending = list(islice((other for other in live if not other.ended), _MOST_COMPARED + 1))
        if len(pending) > _MOST_COMPARED:
            return ""
        others = [
            other for other in pending if other is not record and not self._waits_for(other, task)
        ]
        if any(self._could_resolve(other) for other in others):
            return ""
        files = {code.co_filename for code, _ in parked if is_user_file(code.co_filename)}
        gone = [
            other
            for other in list(self._world.tasks.finished)[-200:] + self._ended_live()
            if other.code is not None
            and other.loop_id == record.loop_id
            and other.code.co_filename in files
            and not _RESOLVERS.isdisjoint(other.code.co_names)
        ]
        if gone and sum(other.code is gone[-1].code for other in gone) <= _MOST_ALIKE:
            place = frame_place(((gone[-1].code, 0),)) if gone[-1].code is not None else None
            return f"{_PERHAPS}{task_text(gone[-1])}, which sets such results{at(place)}, is over"
        if not others and not self._has_other_sources(task):
            return "no other task, thread, timer or connection is left that could set its result"
        return ""

    def _ended_live(self) -> list[TaskRecord]:
        return [other for other in list(self._world.tasks.live.values()) if other.ended]

    def _could_resolve(self, other: TaskRecord) -> bool:
        task = other()
        if task is None:
            return False
        return any(
            not _RESOLVERS.isdisjoint(code.co_names) and is_user_file(code.co_filename)
            for code, _ in stacks.parked(task)
        )

    def _has_other_sources(self, task: Any) -> bool:
        """Whether a thread, a timer, or a connection besides the loop's own pipe is there."""
        loop = getattr(task, "_loop", None)
        selector = getattr(loop, "_selector", None)
        if selector is None or threading.active_count() > 1:
            return True
        timers = getattr(loop, "_scheduled", ())
        if any(not timer.cancelled() for timer in list(timers)):
            return True
        return len(selector.get_map() or ()) > 1

    def _waits_for(self, other: TaskRecord, task: Any) -> bool:
        """Whether a task waits, directly or through asyncio.wait(), for another one."""
        waiting = other()
        if waiting is None:
            return True
        if any(record() is task for record in awaited_tasks(self._world, waiting)):
            return True
        if any(code.co_qualname == "TaskGroup.__aexit__" for code, _ in stacks.parked(waiting)):
            return True  # it waits for its children
        awaiting = stacks.frame_locals(waiting, "_wait").get("fs") or ()
        return any(item is task for item in awaiting) or _is_running(waiting)


def _is_bare(parked: RawStack) -> bool:
    """Whether the program awaits a future of its own, with a deadline of asyncio's or without."""
    for code, _ in parked:
        if is_user_file(code.co_filename):
            return True
        if code.co_qualname != "wait_for":
            return False
    return False


def _is_running(task: Any) -> bool:
    """Whether a task is the one that runs now: the canceller cannot resolve what it cancels."""
    return bool(getattr(stacks.root_of(task), "cr_running", False))


def _finding(record: TaskRecord, parked: RawStack, why: str, seconds: float) -> Finding:
    place = frame_place(parked)
    names = " called by ".join(f"{name}()" for name in functions_of(parked)[:3])
    possible = why.startswith(_PERHAPS)
    could = "possibly it could never" if possible else "it could never"
    message = (
        f"{opening(record)} waited{at(place)} for {seconds:.1f} s until the wait was "
        f"broken off; {could} have been resolved: {why.removeprefix(_PERHAPS)}. "
        f"The wait is in {names}."
    )
    finding = Finding(
        KIND,
        message,
        "When the side that resolves a wait ends, let it resolve or cancel what is still open "
        "(set_exception() on pending replies, task_done() in a `finally`, communicate() instead of "
        "wait() for a process with pipes).",
        place,
        task=record.name,
        stack=shown(parked),
        possible=possible,
    )
    finding.related = related("task created", frame_place(record.stack), record.name)
    return finding
