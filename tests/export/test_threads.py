"""Scripts of loops that start and close: which thread a task ran in."""

import threading

import pytest

from autoinstrument.export import threads
from autoinstrument.export.threads import LoopThreads, thread_of
from autoinstrument.records import LoopRecord, TaskRecord
from autoinstrument.trackers.moments import Moments
from tests.export.play import Thing


class Stage:
    """Loops that start and close at times given by hand; `key` is a loop's identity."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.moments = Moments(pytest.fail)
        self.threads = LoopThreads(self.moments, lambda: self.now_ns)

    def started(self, loop: Thing, thread_id: int, at_ns: int) -> None:
        self.now_ns = at_ns
        record = LoopRecord(loop)
        record.key, record.thread_id = id(loop), thread_id
        self.moments.fire("loop_started", record)

    def closed(self, loop: Thing, at_ns: int) -> None:
        self.now_ns = at_ns
        self.moments.fire("loop_closing", loop)

    def thread_at(self, loop: Thing, created_ns: int) -> int:
        task = TaskRecord(Thing())
        task.loop_id, task.created_ns = id(loop), created_ns
        return thread_of(task, self.threads.known)


def test_task_is_given_the_thread_of_its_loop() -> None:
    stage, loop, other = Stage(), Thing(), Thing()
    stage.started(loop, 4, 10)
    assert [stage.thread_at(loop, at) for at in (9, 11)] == [4, 4]
    assert stage.thread_at(other, 11) == 0
    stage.closed(loop, 20)
    assert [stage.thread_at(loop, at) for at in (9, 11, 21)] == [4, 4, 0]


def test_later_loop_with_the_same_identity_may_run_in_another_thread() -> None:
    stage, loop = Stage(), Thing()
    stage.started(loop, 4, 10)
    stage.closed(loop, 20)
    stage.started(loop, 5, 30)
    assert [stage.thread_at(loop, at) for at in (11, 25, 31)] == [0, 5, 5]


def test_loop_that_moves_between_threads_is_known_from_the_move_on() -> None:
    stage, loop = Stage(), Thing()
    stage.started(loop, 4, 10)
    stage.started(loop, 5, 30)
    assert [stage.thread_at(loop, at) for at in (11, 29, 31)] == [0, 0, 5]


def test_loop_whose_start_was_not_seen_lends_nothing_to_a_later_one() -> None:
    stage, loop = Stage(), Thing()
    stage.closed(loop, 20)
    stage.started(loop, 5, 30)
    assert [stage.thread_at(loop, at) for at in (11, 25)] == [0, 5]


def test_loops_of_one_thread_one_after_the_other_are_all_known() -> None:
    stage, loop = Stage(), Thing()
    for at_ns in (10, 30):
        stage.started(loop, threading.get_ident(), at_ns)
        stage.closed(loop, at_ns + 10)
    found = [stage.thread_at(loop, at) for at in (11, 29, 31)]
    assert found == [threading.get_ident()] * 3


def test_too_many_loops_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_MOST", 2)
    stage, loops = Stage(), [Thing(), Thing(), Thing()]
    for number, loop in enumerate(loops):
        stage.started(loop, 4, 10 * number + 10)
    assert [stage.thread_at(loop, 35) for loop in loops] == [0, 0, 4]
    assert stage.thread_at(loops[2], 29) == 0
