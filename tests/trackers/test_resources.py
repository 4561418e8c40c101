"""Scripts of facts about locks, and what waits for them."""

import gc
import sys
import types
from collections import deque
from collections.abc import Generator

import pytest

from autoinstrument.records import LockRecord, ended_wait, wait_record
from tests.trackers.conftest import Stage, Thing

LONG = 5_000_000  # ns; shorter holds and waits are not shown


def test_lock_taken_and_given_back_by_its_task_tells_nothing_wrong(stage: Stage) -> None:
    stage.begin("t")
    lock = Thing()
    stage.resources.acquired_by(lock, sys._getframe(), "asyncio.Lock")
    record = stage.resources.locks[id(lock)]
    (hold,) = record.holds
    assert (hold.owner_name, hold.owner_serial, hold.at_ns) == ("t", 1, 1_000)
    stage.resources.released_by(lock, None)
    assert record.holds == []
    assert stage.moments_told() == []


def test_release_by_another_task_is_told_and_ends_the_hold(stage: Stage) -> None:
    stage.begin("owner")
    lock = Thing()
    stage.resources.acquired_by(lock, None, "asyncio.Lock")
    record = stage.resources.locks[id(lock)]
    (hold,) = record.holds
    stage.begin("other")
    stage.told.clear()
    stage.resources.released_by(lock, sys._getframe())
    ((moment, (told, held, task, stack)),) = stage.told
    assert (moment, told, held, task.name) == ("lock_released", record, hold, "other")
    assert stack[0][0].co_name == "test_release_by_another_task_is_told_and_ends_the_hold"
    assert (record.own_releases, record.foreign_releases) == (0, 1)


def test_release_of_a_lock_never_seen_is_nothing(stage: Stage) -> None:
    stage.begin("t")
    stage.resources.released_by(Thing(), None)
    assert stage.resources.locks == {}
    assert stage.moments_told() == []


def test_release_ends_the_releasing_tasks_own_permit_first(stage: Stage) -> None:
    semaphore = Thing()
    stage.begin("one")
    stage.resources.acquired_by(semaphore, None, "asyncio.Semaphore", 2)
    stage.begin("two")
    stage.resources.acquired_by(semaphore, None, "asyncio.Semaphore", 2)
    stage.told.clear()
    stage.resources.released_by(semaphore, None)
    record = stage.resources.locks[id(semaphore)]
    assert [hold.owner_name for hold in record.holds] == ["one"]
    assert record.permits == 2
    assert stage.moments_told() == []


def test_lock_taken_outside_any_task_is_not_recorded(stage: Stage) -> None:
    stage.resources.acquired_by(Thing(), None)
    stage.resources.wait_started(Thing(), "acquire", None)
    stage.resources.wait_ended(Thing())
    stage.resources.consumed(Thing())
    assert stage.resources.locks == {}


def test_wait_is_measured_from_start_to_end(stage: Stage) -> None:
    task = stage.begin("t")
    lock = Thing()
    stage.resources.wait_started(lock, "acquire", sys._getframe(), "asyncio.Lock")
    record, wait = stage.resources.locks[id(lock)], stage.tasks.live[id(task)].wait
    assert wait is not None
    assert (wait.op, wait.started_ns, wait.ended_ns) == ("acquire", 1_000, 0)
    assert [wait_record(entry) for entry in stage.resources.waiting.values()] == [wait]
    stage.now_ns = 4_000
    stage.resources.wait_ended(lock)
    assert (wait.ended_ns, wait.how) == (4_000, "resolved")
    assert (record.wait_total_ns, record.wait_max_ns, record.waits) == (3_000, 3_000, 1)
    assert stage.tasks.live[id(task)].wait is None
    assert stage.resources.waiting == {}
    assert stage.moments_told() == []


def test_wait_that_is_broken_off_says_so(stage: Stage) -> None:
    stage.begin("t")
    lock = Thing()
    stage.resources.wait_started(lock, "get", None)
    stage.told.clear()
    stage.resources.wait_ended(lock, resolved=False)
    ((moment, (wait,)),) = stage.told
    assert (moment, wait.how) == ("lock_wait_ended", "broken off")
    stage.resources.wait_ended(lock, resolved=False)
    assert len(stage.told) == 1


def test_handovers_are_counted_for_those_who_wait(stage: Stage) -> None:
    lock = Thing()
    owner = stage.begin("owner")
    stage.resources.acquired_by(lock, None)
    waiter = stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire", None)
    record = stage.resources.locks[id(lock)]
    for _ in range(3):
        stage.running = owner
        stage.resources.released_by(lock, None)
        stage.resources.acquired_by(lock, None)
    wait = stage.tasks.live[id(waiter)].wait
    assert wait is not None
    assert (wait.after, record.handovers, record.max_waiters) == (3, 3, 1)


def test_hold_that_others_wait_for_is_handed_to_exporters(stage: Stage) -> None:
    stage.resources.held = deque()
    lock, other = Thing(), Thing()
    owner = stage.begin("owner")
    stage.resources.acquired_by(other, None)
    stage.resources.acquired_by(lock, sys._getframe())
    for name in ("one", "two"):
        stage.begin(name)
        stage.resources.wait_started(lock, "acquire", None)
    (lasting,) = stage.resources.contended_holds()
    assert (lasting.ended_ns, lasting.waiters, lasting.hold.owner_name) == (0, 2, "owner")
    stage.running, stage.now_ns = owner, LONG
    stage.resources.released_by(other, None)
    assert list(stage.resources.held) == []
    stage.resources.released_by(lock, None)
    (held,) = stage.resources.held
    assert (held.hold.at_ns, held.ended_ns, held.waiters) == (1_000, LONG, 2)
    assert held.hold is lasting.hold
    assert stage.resources.contended == 1
    assert stage.resources.contended_holds() == []


def test_short_waits_and_holds_are_for_the_histogram_alone(stage: Stage) -> None:
    stage.resources.held, stage.resources.outbox = deque(), deque()
    lock, event = Thing(), Thing()
    owner = stage.begin("owner")
    stage.resources.taken(lock, "asyncio.Lock")
    waiter = stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire")
    stage.running, stage.now_ns = owner, 1_000_999
    stage.resources.given_back(lock)
    stage.running = waiter
    stage.resources.got(lock, "asyncio.Lock")
    (wait,) = map(ended_wait, stage.resources.outbox)
    assert (wait.ended_ns - wait.started_ns, wait.flat_stack) == (999_999, None)
    assert (list(stage.resources.held), stage.resources.contended) == ([], 0)
    stage.resources.wait_started(event, "wait")
    stage.resources.wait_ended(event)
    assert [ended_wait(left) for left in stage.resources.outbox] == [wait]


def test_wait_that_may_be_shown_keeps_its_place(stage: Stage) -> None:
    stage.resources.outbox = deque()
    lock = Thing()
    stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire")
    stage.now_ns = LONG
    stage.resources.got(lock, "asyncio.Lock")
    (wait,) = map(ended_wait, stage.resources.outbox)
    assert "test_wait_that_may_be_shown_keeps_its_place" in [code.co_name for code, _ in wait.stack]


def test_hold_that_others_wait_for_is_kept_for_nobody_without_exporters(stage: Stage) -> None:
    lock = Thing()
    owner = stage.begin("owner")
    stage.resources.acquired_by(lock, None)
    stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire", None)
    stage.running = owner
    stage.resources.released_by(lock, None)
    assert (stage.resources.held, stage.resources.contended) == (None, 0)


def test_hold_that_began_while_the_lock_was_calm_has_no_time_to_export(stage: Stage) -> None:
    stage.resources.held = deque()
    lock = Thing()
    owner = stage.begin("owner")
    for _ in range(64):
        stage.resources.taken(lock, "asyncio.Lock")
        stage.resources.given_back(lock)
    assert id(lock) in stage.resources.calm
    vars(lock)["_locked"] = True
    stage.resources.locks[id(lock)].acquired += 1  # by the woven code
    stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire")
    assert stage.resources.locks[id(lock)].holds[0].owner_name == "owner"
    assert stage.resources.contended_holds() == []
    stage.running = owner
    stage.resources.given_back(lock)
    assert list(stage.resources.held) == []


def owned(stage: Stage, name: str = "owner") -> tuple[Thing, LockRecord]:
    """Let a new task take a lock that one task has at a time."""
    lock = Thing()
    vars(lock)["_locked"] = True
    stage.begin(name)
    stage.resources.taken(lock, "asyncio.Lock")
    return lock, stage.resources.locks[id(lock)]


def test_lock_of_one_owner_says_who_has_it_since_when_and_where(stage: Stage) -> None:
    lock, record = owned(stage)
    (hold,) = record.holds
    assert (hold.owner_name, hold.at_ns) == ("owner", 1_000)
    assert "owned" in [code.co_name for code, _ in hold.stack]
    assert record.holds == [hold]  # one and the same while it lasts
    stage.resources.given_back(lock)
    assert record.holds == []
    assert stage.moments_told() == []


def test_lock_of_one_owner_goes_to_who_waited(stage: Stage) -> None:
    stage.resources.held = deque()
    lock, record = owned(stage)
    owner = stage.running
    waiter = stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire")
    (lasting,) = stage.resources.contended_holds()
    stage.running, stage.now_ns = owner, LONG
    stage.resources.given_back(lock)
    (held,) = stage.resources.held
    assert held.hold is lasting.hold
    assert (held.ended_ns, held.waiters, record.handovers, record.holds) == (LONG, 1, 1, [])
    stage.running, stage.now_ns = waiter, LONG + 2_000
    stage.resources.got(lock, "asyncio.Lock")
    (hold,) = record.holds
    assert (hold.owner_name, hold.at_ns, record.waiting, record.wait_total_ns) == (
        ("waiter", LONG + 2_000, 0, LONG + 1_000)
    )
    names = [code.co_name for code, _ in hold.stack]
    assert names[0] == "test_lock_of_one_owner_goes_to_who_waited"
    assert stage.resources.waiting == {}
    assert record.acquired == 2


def test_lock_of_one_owner_given_back_by_another_task_is_told(stage: Stage) -> None:
    lock, record = owned(stage)
    (hold,) = record.holds
    stage.begin("other")
    stage.resources.given_back(lock)
    ((moment, (told, held, task, _)),) = stage.told
    assert (moment, told, held, task.name) == ("lock_released", record, hold, "other")
    assert record.holds == []


def test_beginning_of_a_wait_is_told_if_the_holder_waits_too(stage: Stage) -> None:
    lock, _ = owned(stage)
    owner = stage.running
    assert owner is not None
    for waits_for in (None, object()):
        owner._fut_waiter = waits_for
        stage.begin("waiter")
        stage.resources.wait_started(lock, "acquire")
        assert stage.moments_told() == ([] if waits_for is None else ["lock_waited"])
    owner._fut_waiter, owner.over = None, True  # it ended and has the lock still
    stage.begin("waiter")
    stage.resources.wait_started(lock, "acquire")
    assert stage.moments_told() == ["lock_waited"]


def test_end_of_a_wait_is_told_once_a_task_has_waited_long_for_one_lock(stage: Stage) -> None:
    stage.resources.contended_ns, stage.resources.short_ns = 3_000, 3
    task, lock = stage.begin("t"), Thing()
    told = []
    for _ in range(4):
        stage.resources.wait_started(lock, "acquire")
        stage.now_ns += 1_000
        task.over = True
        stage.resources.wait_over(lock, task)
        told.append(len(stage.moments_told()))
    assert told == [0, 0, 1, 1]
    assert stage.resources.waiting == {}


@pytest.mark.parametrize(("took_ns", "told"), [(999_999, 0), (1_000_000, 1)], ids=["below", "at"])
def test_waits_of_less_than_a_thousandth_of_what_is_told_are_not_added_up(
    stage: Stage, took_ns: int, told: int
) -> None:
    task, lock = stage.begin("t"), Thing()
    task.over = True
    for _ in range(1_000):
        stage.resources.wait_started(lock, "acquire")
        stage.now_ns += took_ns
        stage.resources.wait_over(lock, task)
    assert stage.moments_told() == ["lock_wait_ended"] * told
    record = stage.resources.locks[id(lock)]
    assert (record.wait_total_ns, record.waiting, record.waits) == (1_000 * took_ns, 0, 1_000)


def test_wait_reads_its_place_from_the_waiting_task(stage: Stage) -> None:
    task = stage.begin("t")
    coroutine = parks()
    coroutine.send(None)
    vars(task)["get_coro"] = lambda: coroutine
    stage.resources.wait_started(Thing(), "get")
    (wait,) = map(wait_record, stage.resources.waiting.values())
    assert [code.co_name for code, _ in wait.stack] == ["sleeps", "parks"]
    coroutine.close()


async def parks() -> None:
    await sleeps()


@types.coroutine
def sleeps() -> Generator[None, None, None]:
    yield


def test_holds_end_when_the_lock_dies(stage: Stage) -> None:
    stage.begin("t")
    lock = Thing()
    stage.resources.acquired_by(lock, None)
    stage.resources.consumed(lock)
    del lock
    gc.collect()
    assert stage.resources.locks == {}
    assert stage.resources.consumers == {}


def test_permits_without_end_are_bounded(stage: Stage) -> None:
    stage.begin("t")
    semaphore = Thing()
    for _ in range(1_500):
        stage.resources.acquired_by(semaphore, None, "asyncio.Semaphore", 2_000)
    assert len(stage.resources.locks[id(semaphore)].holds) == 1_000
    assert stage.resources.statistics()["acquired"] == 1_500


def test_takers_of_a_queue_are_remembered_up_to_a_bound(stage: Stage) -> None:
    queue, kept = Thing(), []
    for number in range(30):
        kept.append(stage.begin(f"taker {number}"))
        stage.resources.consumed(queue)
        stage.resources.consumed(queue)
    takers = stage.resources.consumers[id(queue)]
    assert [taker.name for taker in takers] == [f"taker {n}" for n in range(14, 30)]


def test_statistics_are_exact(stage: Stage) -> None:
    stage.begin("t")
    lock = Thing()
    stage.resources.wait_started(lock, "acquire", None)
    stage.resources.wait_ended(lock)
    stage.resources.acquired_by(lock, None)
    stage.resources.released_by(lock, None)
    assert stage.resources.statistics() == {
        "acquired": 1,
        "released": 1,
        "waits": 1,
        "waiting": 0,
        "seen": 1,
    }


def test_token_lent_to_the_running_task_is_held_by_it_until_it_is_back(stage: Stage) -> None:
    task, limiter = stage.begin("t"), Thing()
    stage.resources.borrowed(limiter, task, sys._getframe(), "anyio.CapacityLimiter", 3)
    record = stage.resources.locks[id(limiter)]
    (hold,) = record.holds
    assert (hold.owner_name, hold.at_ns, record.permits, record.acquired) == ("t", 1_000, 3, 1)
    stage.begin("other")  # which brings it back
    stage.resources.returned(limiter, task)
    assert (record.holds, record.own_releases, record.foreign_releases) == ([], 1, 0)
    assert "lock_released" not in stage.moments_told()


def test_token_lent_to_another_task_is_held_by_that_one(stage: Stage) -> None:
    borrower, limiter = stage.begin("borrower"), Thing()
    stage.begin("lender")
    stage.resources.borrowed(limiter, borrower, None, "anyio.CapacityLimiter", 1)
    assert [h.owner_name for h in stage.resources.locks[id(limiter)].holds] == ["borrower"]


def test_token_lent_to_an_object_is_counted_and_has_no_holder(stage: Stage) -> None:
    stage.begin("t")
    limiter, request = Thing(), Thing()
    stage.resources.borrowed(limiter, request, None, "anyio.CapacityLimiter", 2)
    record = stage.resources.locks[id(limiter)]
    assert (record.holds, record.acquired) == ([], 1)
    stage.resources.returned(limiter, request)
    assert (record.own_releases, record.handovers) == (0, 0)


def test_token_that_comes_back_while_others_wait_is_handed_over(stage: Stage) -> None:
    holder, limiter = stage.begin("holder"), Thing()
    stage.resources.borrowed(limiter, holder, None, "anyio.CapacityLimiter", 1)
    stage.begin("waiter")
    stage.resources.wait_started(limiter, "acquire", None, "anyio.CapacityLimiter", 1)
    record = stage.resources.locks[id(limiter)]
    (hold,) = record.holds
    assert [open_.hold for open_ in stage.resources.contended_holds()] == [hold]
    stage.resources.held = deque()
    stage.now_ns = LONG
    stage.resources.returned(limiter, holder)
    assert record.handovers == 1
    assert [ended.hold for ended in stage.resources.held] == [hold]


def test_limiter_whose_tokens_changed_tells_the_new_number(stage: Stage) -> None:
    task, limiter = stage.begin("t"), Thing()
    for tokens in (1, 5):
        stage.resources.borrowed(limiter, task, None, "anyio.CapacityLimiter", tokens)
    assert stage.resources.locks[id(limiter)].permits == 5


def test_waits_inside_of_a_barrier_are_the_barriers_one_wait(stage: Stage) -> None:
    task = stage.begin("t")
    barrier, condition, lock = Thing(), Thing(), Thing()
    resources = stage.resources
    resources.wait_started(barrier, "wait", None, "asyncio.Barrier", 0)
    for inner, op in ((condition, "wait"), (lock, "acquire")):
        resources.wait_started(inner, op, None, "asyncio.Condition", 0)
        resources.wait_ended(inner)
    wait = stage.tasks.live[id(task)].wait
    assert wait is not None
    assert (wait.lock.kind, wait.ended_ns, resources.statistics()["waits"]) == (
        "asyncio.Barrier",
        0,
        1,
    )
    resources.wait_ended(barrier)
    resources.wait_ended(barrier, resolved=False)  # told once more: nothing
    assert (wait.how, wait.lock.waiting, resources.waiting) == ("resolved", 0, {})
    resources.wait_started(condition, "wait", None, "asyncio.Condition", 0)
    assert [entry[0].kind for entry in resources.waiting.values()] == ["asyncio.Condition"]
