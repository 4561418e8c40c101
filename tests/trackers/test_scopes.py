"""Scripts of facts about scopes."""

import gc
import sys
from collections import deque
from typing import Any

import pytest

from autoinstrument.records import RETURNED, UNTIMED, scope_record
from tests.trackers.conftest import Stage, Thing


def test_scope_entered_and_left_by_its_task_tells_nothing(stage: Stage) -> None:
    stage.begin("t")
    scope = Thing()
    record = stage.scopes.scope_entered(scope, "asyncio.timeout", sys._getframe())
    stage.now_ns = 2_000
    assert stage.scopes.scope_left(scope, sys._getframe()) is record
    assert (record.entered_ns, record.left_ns) == (1_000, UNTIMED)
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
    frame = sys._getframe()
    stage.scopes.enter(Thing(), "kind", frame, task)
    owner = stage.tasks.live[id(task)]
    entries: list[Any] = owner.open_scopes or []
    assert [entry[-1] for entry in entries] == [None]
    record = scope_record(entries[0], owner)
    assert scope_record(entries[0], owner) is record
    assert stage.scopes.open == [record]
    assert record.stack[0][0] is frame.f_code


def test_scope_that_is_older_than_the_exporters_is_not_theirs(stage: Stage) -> None:
    task = stage.begin("t")
    scope = Thing()
    stage.scopes.enter(scope, "kind", sys._getframe(), task)
    stage.scopes.outbox = deque()
    stage.scopes.scope_left(scope, None)
    assert list(stage.scopes.outbox) == []
