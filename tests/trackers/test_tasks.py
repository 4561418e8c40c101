"""Scripts of facts about tasks."""

import gc
import sys
import weakref
from typing import Any

import pytest

from autoinstrument.records import CANCELLED, ENDED, FAILED, RETURNED
from autoinstrument.trackers.tasks import outcome_of
from tests.trackers.conftest import FakeTask, Stage


async def work() -> None:
    return None


def test_creation_is_recorded_with_creator_place_and_code(stage: Stage) -> None:
    stage.begin("parent")
    coro, task = work(), FakeTask("child")
    record = stage.tasks.task_created(task, coro, sys._getframe())
    coro.close()
    assert (record.serial, record.creator, record.name) == (2, 1, "child")
    assert record.code is work.__code__
    assert record.qualname == "work"
    assert record.created_ns == 1_000
    assert record.stack[0][0].co_name == "test_creation_is_recorded_with_creator_place_and_code"
    assert record() is task
    assert stage.tasks.live[id(task)] is record


def test_name_is_asked_when_it_is_read_and_kept_after_death(stage: Stage) -> None:
    task = FakeTask("before")
    record = stage.tasks.task_created(task, None, None)
    task.label = "after"
    assert record.name == "after"
    del task
    gc.collect()
    assert record.name == "after"


@pytest.mark.parametrize(
    "coro", [None, 3, object(), lambda: None], ids=["none", "int", "object", "lambda"]
)
def test_anything_may_be_handed_over_as_coroutine(stage: Stage, coro: Any) -> None:
    record = stage.tasks.task_created(FakeTask(), coro, None)
    assert record.code is None
    assert isinstance(record.qualname, str)


def test_task_without_weak_references_is_a_type_error(stage: Stage) -> None:
    class Slotted:
        __slots__ = ()

    with pytest.raises(TypeError):
        stage.tasks.task_created(Slotted(), None, None)
    assert stage.tasks.live == {}
    assert stage.tasks.record_of(Slotted()) is None


@pytest.mark.parametrize("answer", [None, 5, LookupError("no name")], ids=["none", "int", "error"])
def test_task_with_an_odd_name_is_numbered(stage: Stage, answer: Any) -> None:
    class Odd(FakeTask):
        def get_name(self) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    assert stage.tasks.task_created(Odd(), None, None).name == "task 1"


def test_exact_end_comes_from_the_root_coroutine(stage: Stage) -> None:
    coro, task = work(), FakeTask("t")
    record = stage.tasks.task_created(task, coro, None)
    coro.close()
    stage.running, stage.now_ns = task, 5_000
    assert stage.tasks.running_root(work.__code__) is record
    stage.tasks.task_ended(record, RETURNED)
    assert (record.ended_ns, record.end_is_exact, record.outcome) == (5_000, True, RETURNED)
    stage.now_ns = 6_000
    assert stage.tasks.running_root(work.__code__) is None
    del task
    stage.running = None
    gc.collect()
    assert stage.tasks.statistics()["ended"] == 1
    assert list(stage.tasks.finished) == [record]


def test_end_of_other_code_is_not_the_tasks(stage: Stage) -> None:
    stage.begin("t")
    assert stage.tasks.running_root(work.__code__) is None
    stage.running = None
    assert stage.tasks.running_root(work.__code__) is None


def test_death_is_the_upper_bound_of_an_unseen_end(stage: Stage) -> None:
    task = FakeTask("t")
    record = stage.tasks.task_created(task, None, None)
    stage.now_ns = 9_000
    del task
    gc.collect()
    assert (record.ended_ns, record.end_is_exact, record.outcome) == (9_000, False, ENDED)
    assert stage.tasks.live == {}


def test_failure_keeps_text_and_places_but_not_the_exception(stage: Stage) -> None:
    task = stage.begin("t")
    record = stage.tasks.live[id(task)]

    class SecretError(Exception):
        pass

    try:
        raise SecretError("secret")
    except SecretError as error:
        stage.tasks.task_ended(record, FAILED, error)
        gone = weakref.ref(error)
    stage.told.clear()
    gc.collect()
    assert gone() is None
    assert record.error_type.endswith("SecretError")
    assert (
        record.raised_at[0][0].co_name == "test_failure_keeps_text_and_places_but_not_the_exception"
    )
    assert stage.tasks.statistics()["failed"] == 1


def test_finished_records_are_bounded(stage: Stage) -> None:
    for _ in range(1_003):
        stage.tasks.task_created(FakeTask(), None, None)
    gc.collect()
    assert [stage.tasks.finished[0].serial, len(stage.tasks.finished)] == [4, 1_000]


def test_identity_used_again_is_another_task(stage: Stage) -> None:
    task = FakeTask("old")
    old = stage.tasks.task_created(task, None, None)
    other = FakeTask("new")
    stage.tasks.live[id(other)] = old  # as if the address had been used again
    record = stage.tasks.record_of(other)
    assert record is not None
    assert record is not old
    assert record.name == "new"


def test_task_never_seen_before_gets_a_record_when_it_is_asked_for(stage: Stage) -> None:
    stage.running = FakeTask("early")
    record = stage.tasks.current()
    assert record is not None
    assert (record.name, record.stack, record.serial) == ("early", (), 1)
    assert stage.tasks.current() is record
    again = stage.tasks.task_created(stage.running, None, None)
    assert again is record


def test_eager_task_seen_before_its_creation_is_counted_once(stage: Stage) -> None:
    task = stage.running = FakeTask("eager")
    stage.tasks.current()
    stage.running = None
    stage.tasks.task_created(task, None, sys._getframe())
    assert stage.tasks.statistics()["created"] == 1


def test_eager_task_seen_early_learns_where_it_was_created(stage: Stage) -> None:
    task = stage.running = FakeTask("eager")
    stage.tasks.current()
    stage.running = None
    record = stage.tasks.task_created(task, None, sys._getframe())
    assert record.stack


def test_cancellation_tells_who_where_and_why(stage: Stage) -> None:
    victim = FakeTask("victim")
    record = stage.tasks.task_created(victim, None, None)
    stage.begin("killer")
    stage.now_ns = 7_000
    stage.tasks.cancel_requested(victim, sys._getframe(), "task.cancel")
    assert record.cancels is not None
    (origin,) = record.cancels
    assert (origin.at_ns, origin.by_serial, origin.by_task) == (7_000, 2, "killer")
    assert origin.via == "task.cancel"
    assert origin.stack[0][0].co_name == "test_cancellation_tells_who_where_and_why"
    assert stage.tasks.cancelling == {1: record}
    assert stage.moments_told() == ["cancel_requested"]


def test_cancellation_of_a_finished_task_is_nothing(stage: Stage) -> None:
    victim = stage.begin("victim")
    victim.over = True
    stage.tasks.cancel_requested(victim, sys._getframe(), "task.cancel")
    assert stage.tasks.cancelling == {}
    assert stage.moments_told() == []


def test_cancellation_follows_the_tasks_that_are_awaited(stage: Stage) -> None:
    chain = [FakeTask(name) for name in "abc"]
    records = [stage.tasks.task_created(task, None, None) for task in chain]
    chain[0]._fut_waiter, chain[1]._fut_waiter = chain[1], chain[2]
    stage.tasks.cancel_requested(chain[0], None, "task.cancel")
    assert [[o.via for o in record.cancels or ()] for record in records] == [
        ["task.cancel"],
        ["propagated"],
        ["propagated"],
    ]


def test_cancellation_of_tasks_that_await_each_other_ends(stage: Stage) -> None:
    one, two = FakeTask("one"), FakeTask("two")
    record = stage.tasks.task_created(one, None, None)
    stage.tasks.task_created(two, None, None)
    one._fut_waiter, two._fut_waiter = two, one
    stage.tasks.cancel_requested(one, None, "task.cancel")
    assert len(record.cancels or ()) <= 8


def test_first_and_latest_cancellations_are_kept(stage: Stage) -> None:
    victim = stage.begin("victim")
    for number in range(20):
        stage.now_ns = number
        stage.tasks.cancel_requested(victim, None, "task.cancel")
    kept = [origin.at_ns for origin in stage.tasks.live[id(victim)].cancels or ()]
    assert kept == [0, 13, 14, 15, 16, 17, 18, 19]


def test_record_holds_nothing_of_the_program(stage: Stage) -> None:
    task = FakeTask("t")
    gone = weakref.ref(task)
    record = stage.tasks.task_created(task, None, sys._getframe())
    stage.tasks.cancel_requested(task, sys._getframe(), "task.cancel")
    gc.disable()
    try:
        del task
        assert gone() is None
    finally:
        gc.enable()
    assert record() is None
    assert record.ended
    assert stage.tasks.cancelling == {}


def test_pending_and_find_look_at_live_tasks(stage: Stage) -> None:
    one, two = stage.begin("one"), stage.begin("two")
    assert [record.name for record in stage.tasks.pending()] == ["one", "two"]
    one.over = True
    assert [record.name for record in stage.tasks.pending()] == ["two"]
    assert stage.tasks.find(2) is stage.tasks.live[id(two)]
    assert stage.tasks.find(99) is None


def test_task_that_just_died_is_found_by_its_identity(stage: Stage) -> None:
    task = FakeTask("dead")
    stage.tasks.task_created(task, None, None)
    assert stage.tasks.lately(task) is stage.tasks.live[id(task)]
    stage.tasks.live.clear()
    assert stage.tasks.lately(task) is None


def test_outcome_does_not_mark_the_exception_as_retrieved() -> None:
    task = FakeTask()
    assert outcome_of(task) == (RETURNED, None)
    task._exception = error = ValueError()
    assert outcome_of(task) == (FAILED, error)
    task.was_cancelled = True
    assert outcome_of(task) == (CANCELLED, None)


def test_tasks_made_in_one_place_share_their_stack(stage: Stage) -> None:
    tasks = [FakeTask() for _ in range(3)]
    here, *others = [stage.tasks.task_created(task, None, sys._getframe()) for task in tasks]
    elsewhere = stage.tasks.task_created(FakeTask(), None, sys._getframe())
    assert here.flat_stack
    assert all(record.flat_stack is here.flat_stack for record in others)
    assert elsewhere.flat_stack != here.flat_stack
