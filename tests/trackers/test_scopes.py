"""Scripts of facts about scopes."""

import gc
import sys
from collections import deque
from typing import Any

import pytest

from autoinstrument.records import RETURNED, left_record, scope_record
from autoinstrument.trackers.scopes import SAMPLED
from tests.trackers.conftest import Stage, Thing


def test_scope_entered_and_left_by_its_task_tells_nothing(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "asyncio.timeout", sys._getframe())
    stage.now_ns = 2_000
    assert stage.scopes.scope_left(scope, sys._getframe()) is record
    assert (record.entered_ns, record.left_ns) == (1_000, 2_000)
    assert (record.owner_serial, record.left_by) == (1, 1)
    assert stage.moments_told() == []
    assert stage.scopes.open == []


def test_end_of_a_scope_is_timed_for_exporters(stage: Stage) -> None:
    stage.scopes.outbox = deque()
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "asyncio.timeout", None)
    stage.now_ns = 2_000
    stage.scopes.scope_left(scope, None)
    assert (list(stage.scopes.outbox), record.left_ns) == ([record], 2_000)


def test_task_knows_its_open_scopes_in_order(stage: Stage) -> None:
    task = stage.begin("t")
    outer, inner = Thing(), Thing()
    first = stage.scopes.scope_entered(outer, "outer", None)
    second = stage.scopes.scope_entered(inner, "inner", None)
    assert stage.tasks.live[id(task)].scopes == [first, second]
    stage.scopes.scope_left(inner, None)
    stage.scopes.scope_left(outer, None)
    assert stage.tasks.live[id(task)].scopes == []
    assert stage.moments_told() == []


def test_scope_left_by_another_task_is_told_with_both(stage: Stage) -> None:
    stage.begin("opener")
    scope = Thing()
    stage.scopes.scope_entered(scope, "asyncio.timeout", None)
    stage.begin("closer")
    stage.told.clear()
    record = stage.scopes.scope_left(scope, sys._getframe())
    assert record is not None
    ((moment, facts),) = stage.told
    assert moment == "scope_left"
    assert facts[0] is record
    assert facts[1].name == "closer"
    assert (record.owner_serial, record.left_by) == (1, 2)
    assert record.left_stack[0][0].co_name == "test_scope_left_by_another_task_is_told_with_both"


def test_scope_left_under_an_open_one_is_told(stage: Stage) -> None:
    task = stage.begin("t")
    outer, inner = Thing(), Thing()
    stage.scopes.scope_entered(outer, "outer", None)
    second = stage.scopes.scope_entered(inner, "inner", None)
    stage.scopes.scope_left(outer, None)
    assert stage.moments_told() == ["scope_left"]
    assert stage.tasks.live[id(task)].scopes == [second]
    stage.scopes.scope_left(inner, None)
    assert stage.moments_told() == []


def test_scope_left_outside_any_task_is_told(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    stage.scopes.scope_entered(scope, "kind", None)
    stage.running = None
    record = stage.scopes.scope_left(scope, None)
    assert record is not None
    assert record.left_by == 0
    assert not task.done()
    assert stage.moments_told() == ["scope_left"]


def test_unknown_scope_is_not_an_error(stage: Stage) -> None:
    stage.begin("t")
    assert stage.scopes.scope_left(Thing(), None) is None
    stage.scopes.cancel_requested(Thing(), None, "scope")
    stage.scopes.delivered(Thing())
    assert stage.scopes.deadline_expired(Thing()) is None
    assert stage.moments_told() == []
    assert set(stage.scopes.statistics().values()) == {0}


def test_scope_that_dies_while_it_is_open_stays_with_its_task(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    del scope
    gc.collect()
    assert stage.scopes.open == [record]
    stage.tasks.task_ended(stage.tasks.live[id(task)], RETURNED)
    assert stage.scopes.open == [record]
    del task
    stage.running = None
    gc.collect()
    assert stage.scopes.open == [record]
    assert record.owner_name == "t"


def test_scope_of_an_ended_task_can_be_left(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    stage.tasks.task_ended(stage.tasks.live[id(task)], RETURNED)
    stage.begin("other")
    assert stage.scopes.scope_left(scope, None) is record
    assert stage.scopes.open == []


def test_scope_is_found_through_the_task_that_it_names(stage: Stage) -> None:
    scope = Thing()
    scope._host_task = stage.begin("t")
    record = stage.scopes.scope_entered(scope, "kind", None)
    stage.running = None
    assert stage.scopes.find(scope) is record


def test_scope_that_dies_after_it_was_left_tells_nothing(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    stage.scopes.scope_entered(scope, "kind", None)
    stage.scopes.scope_left(scope, None)
    del scope
    gc.collect()
    assert stage.moments_told() == []


def test_scope_without_weak_references_is_recorded(stage: Stage) -> None:
    class Slotted:
        __slots__ = ()

    stage.begin("t")
    scope = Slotted()
    record = stage.scopes.scope_entered(scope, "kind", None)
    assert stage.scopes.scope_left(scope, None) is record


def test_scope_entered_again_has_a_record_of_its_own(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    first = stage.scopes.scope_entered(scope, "kind", None)
    stage.scopes.scope_left(scope, None)
    second = stage.scopes.scope_entered(scope, "kind", None)
    assert first is not second
    assert stage.scopes.open == [second]


def test_first_cancellation_and_first_expiry_count(stage: Stage) -> None:
    stage.begin("killer")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    for now in (2_000, 3_000):
        stage.now_ns = now
        stage.scopes.deadline_expired(scope)
        stage.scopes.cancel_requested(scope, sys._getframe(), "deadline")
    assert record.expired_ns == 2_000
    origin: Any = record.cancel_origin
    assert (origin.at_ns, origin.by_task, origin.via) == (2_000, "killer", "deadline")
    assert stage.scopes.statistics() == {
        "entered": 1,
        "left": 0,
        "open": 1,
        "cancelled": 1,
        "expired": 1,
    }


def test_endless_delivery_is_told_once(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    for _ in range(499):
        stage.scopes.delivered(scope)
    assert stage.moments_told() == []
    for _ in range(1_000):
        stage.scopes.delivered(scope)
    assert stage.moments_told() == ["scope_spinning"]
    assert record.deliveries == 1_499


def test_delivery_is_counted_after_an_irregular_exit_too(stage: Stage) -> None:
    stage.begin("opener")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    stage.begin("closer")
    stage.scopes.scope_left(scope, None)
    stage.scopes.delivered(scope)
    assert record.deliveries == 1


def test_irregular_exits_are_bounded(stage: Stage) -> None:
    for _ in range(1_000):
        stage.begin("opener")
        scope = Thing()
        stage.scopes.scope_entered(scope, "kind", None)
        stage.begin("closer")
        stage.scopes.scope_left(scope, None)
    assert len(stage.scopes._refused) <= 300


def test_scope_that_was_left_is_not_searched_for_among_all_tasks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(key: int) -> None:
        raise AssertionError("went through all tasks")

    scope = Thing()
    scope._host_task = stage.begin("t")
    record = stage.scopes.scope_entered(scope, "kind", None)
    stage.begin("other")
    monkeypatch.setattr(stage.scopes, "_find_anywhere", search)
    assert stage.scopes.find(scope) is record
    stage.scopes.scope_left(scope, None)
    assert stage.scopes.find(scope) is None
    scope._host_task = None
    assert stage.scopes.find(scope) is None


def test_two_who_ask_for_an_open_scope_get_one_record(stage: Stage) -> None:
    task = stage.begin("t")
    entry = [1, "kind", 2, 3, (sys._getframe().f_code, 4), False, None]
    owner = stage.tasks.live[id(task)]
    owner.open_scopes = [entry]
    record = scope_record(entry, owner)
    assert scope_record(entry, owner) is record
    assert stage.scopes.open == [record]
    assert (record.key, record.kind, record.serial, record.entered_ns) == (1, "kind", 2, 3)
    assert record.stack == ((sys._getframe().f_code, 4),)


def test_scope_left_by_woven_code_is_a_record_for_exporters(stage: Stage) -> None:
    task = stage.begin("t")
    owner = stage.tasks.live[id(task)]
    known = stage.scopes.scope_entered(Thing(), "kind", None)
    assert left_record(known) is known
    record = left_record(([1, "kind", 2, 3, (), True, None], owner, 4))
    assert (record.serial, record.owner, record.shield) == (2, owner, True)
    assert (record.entered_ns, record.left_ns, record.left_by) == (3, 4, owner.serial)


def attempt(stage: Stage, scope: Thing, times: int) -> None:
    """Do what woven code does at each attempt to deliver a cancellation."""
    for _ in range(times):
        stage.scopes.unseen -= 1
        if stage.scopes.unseen <= 0:
            stage.scopes.delivering(scope, None)


def test_one_attempt_of_many_is_looked_at_and_then_all_of_that_scope(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    attempt(stage, scope, SAMPLED - 1)
    assert record.deliveries == 0
    attempt(stage, scope, 10)
    assert record.deliveries == 10
    attempt(stage, scope, 489)
    assert stage.moments_told() == []
    attempt(stage, scope, 1)
    assert stage.moments_told() == ["scope_spinning"]
    attempt(stage, scope, 10_000)
    assert stage.moments_told() == []


def test_all_scopes_that_spin_at_once_are_told(stage: Stage) -> None:
    stage.begin("t")
    scopes = [Thing() for _ in range(3)]
    records = [stage.scopes.scope_entered(scope, "kind", None) for scope in scopes]
    for _ in range(2_000):
        for scope in scopes:
            attempt(stage, scope, 1)
    assert sorted(facts[0].serial for _, facts in stage.told) == [r.serial for r in records]


def test_scope_that_stops_trying_or_is_left_is_not_watched(stage: Stage) -> None:
    stage.begin("t")
    gone, left, other = Thing(), Thing(), Thing()
    stage.scopes.scope_entered(gone, "kind", None)
    attempt(stage, gone, SAMPLED)
    assert stage.scopes.watched is stage.scopes.find(gone)
    second = stage.scopes.scope_entered(left, "kind", None)
    attempt(stage, left, 2 * SAMPLED)
    assert stage.scopes.watched is second
    stage.scopes.scope_left(left, None)
    watched = [stage.scopes.watched]
    stage.scopes.scope_entered(other, "kind", None)
    attempt(stage, other, 3)
    assert [*watched, stage.scopes.watched] == [None, None]


def test_cancellation_by_a_scope_is_told_on_the_tick_if_the_scope_is_open(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    stage.scopes.cancels(scope, task, task, None, sys._getframe())
    assert [o.by_scope for o in stage.tasks.live[id(task)].cancels or ()] == [record]
    assert stage.moments_told() == []
    stage.tasks.tell_of_scopes(0)
    stage.tasks.tell_of_scopes(0)
    assert stage.moments_told() == ["cancel_requested"]
    stage.scopes.cancels(scope, task, task, None, sys._getframe())
    stage.scopes.scope_left(scope, None)
    stage.tasks.tell_of_scopes(0)
    assert stage.moments_told() == []


def test_cancelled_wait_that_was_looked_at_is_told_at_once(stage: Stage) -> None:
    task = stage.begin("t")
    scope, future = Thing(), Thing()
    task._fut_waiter = future
    stage.scopes.scope_entered(scope, "kind", None)
    stage.scopes.cancels(scope, task, task, None, sys._getframe())
    assert stage.moments_told() == []
    stage.tasks.live[id(task)].waiter_id = id(future)
    stage.scopes.cancels(scope, task, task, None, sys._getframe())
    assert stage.moments_told() == ["wait_cancelled"]


def test_places_where_a_scope_hit_tasks_are_kept_once_and_bounded(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)
    for _ in range(20):
        stage.scopes.cancels(scope, task, task, None, sys._getframe())
    assert record.victims == [()]
    stage.tasks.tell_of_scopes(0)
    stage.scopes.cancels(scope, task, task, None, sys._getframe())
    assert record.victims == [()]


def test_scope_cancelled_while_it_is_entered_is_cancelled_in_that_line(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", sys._getframe())
    stage.scopes.cancel_requested(scope, None, "deadline", None, entering=True)
    origin: Any = record.cancel_origin
    assert (origin.flat_stack, origin.by_task) == (record.flat_stack, "t")
    assert record.expired_ns == 1_000


@pytest.mark.parametrize("last", [True, False], ids=["in one piece", "in another task"])
def test_deadline_that_had_passed_before_the_entry_is_told_once(stage: Stage, last: bool) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", sys._getframe())
    if last:
        stage.scopes.last = stage.tasks.live[id(task)]
    for _ in range(2):
        stage.scopes.expires_at_entry(scope, task)
    origin: Any = record.cancel_origin
    assert (origin.flat_stack, origin.by_task, origin.via) == (record.flat_stack, "t", "deadline")
    assert (record.expired_ns, origin.at_ns) == (1_000, 1_000)
    assert (stage.scopes.expired, stage.scopes.cancelled) == (1, 1)
    assert record.scope is not None
    assert record.scope() is scope
    assert stage.scopes.cancelling == {record.serial: record}


def test_cancellation_that_comes_while_others_are_told_is_told_next_time(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "kind", None)

    def cancel() -> None:
        stage.scopes.cancels(scope, task, task, None, sys._getframe())

    def one_more(*facts: Any) -> None:
        if len(stage.told) == 2:
            record.hits = [*(record.hits or ()), facts]  # as the loop's thread appends to it

    cancel()
    cancel()
    stage.moments.on("cancel_requested", one_more)
    stage.tasks.tell_of_scopes(0)
    assert stage.moments_told() == ["cancel_requested"] * 2
    stage.tasks.tell_of_scopes(0)
    assert stage.moments_told() == ["cancel_requested"]
