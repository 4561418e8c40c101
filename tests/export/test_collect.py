"""What ends between two batches is bounded, and what did not fit is counted."""

import asyncio

import pytest

from autoinstrument.agent import Agent
from autoinstrument.config.schema import Settings
from autoinstrument.export.batch import SPARE, ExportSettings
from autoinstrument.export.collect import Collector
from autoinstrument.export.metrics import Metrics
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.scopes import shown
from autoinstrument.export.statics import Statics
from autoinstrument.export.trace_settings import make_traces
from autoinstrument.records import FAILED, RETURNED, UNTIMED, TaskRecord
from autoinstrument.trackers.outbox import EVERY, SHORT_WAIT_NS, SLOW_NS
from tests.export.play import Play, ran


def test_storm_between_two_batches_is_bounded_and_counted() -> None:
    world = Agent(Settings(memory_mb=1), []).world
    collector = Collector(world)
    keep = 1_000
    roomy = Agent(Settings(memory_mb=64), []).world
    Collector(roomy)
    assert roomy.tasks.outbox is not None
    assert roomy.tasks.outbox.most == 16_000

    async def storm(count: int) -> None:
        for _ in range(count):
            task = asyncio.ensure_future(asyncio.sleep(0))
            record = world.tasks.record_of(task)
            assert record is not None
            await task
            world.tasks.task_ended(record, "returned")

    asyncio.run(storm(1_500))
    assert (len(collector.batch().tasks), collector.dropped) == (keep, 500)
    asyncio.run(storm(10))
    assert (len(collector.batch().tasks), collector.dropped) == (10, 500)


def test_storm_beyond_the_budget_hands_over_what_matters() -> None:
    world = Agent(Settings(memory_mb=1, span_budget=10), []).world
    collector = Collector(world)
    tracker = world.tasks
    most = 2 * 10 + SPARE
    slow, creator, failed, late = 590, 600, 610, 620
    assert all(number % EVERY for number in (slow, creator, failed, late))

    async def main() -> None:
        for number in range(1, 701):
            task = asyncio.ensure_future(asyncio.sleep(0))
            task.set_name(f"job {number}")
            record = tracker.record_of(task)
            assert record is not None
            record.last_name = ""  # Python 3.11 reads it at once
            record.serial = number
            record.creator = {7: creator, creator: late}.get(number, 0)
            if number == slow:
                record.created_ns -= SLOW_NS
            tracker.task_ended(record, FAILED if number == failed else RETURNED)
            await task

    asyncio.run(main())
    batch = collector.batch()
    names = {record.serial: record.last_name for record in batch.tasks}
    first = {number: f"job {number}" for number in range(1, most + 1)}
    others = {number: f"job {number}" for number in (slow, creator, failed, late)}
    some = {number: "" for number in range(most + 1, 701) if not number % EVERY}
    assert names == first | others | some
    assert (len(batch.tasks) + batch.left_out, collector.dropped) == (700, 0)
    assert (collector.batch().tasks, collector.batch().left_out) == ([], 0)


def test_tasks_left_out_by_the_budget_are_counted_and_timed_by_some() -> None:
    play = Play()
    for number in range(1, 101):
        play.task(f"t{number}", 0, 5 if number % EVERY else 2_000, qualname="job")
    batch = play.batch()
    batch.left_out = 1_000
    pipeline = Pipeline(ExportSettings(), make_traces(ExportSettings(), {}, pytest.fail))
    metrics = Metrics({}, dict, by_sdk=False)
    metrics.feed(batch)
    pipeline.run(batch)
    assert pipeline.dropped == {"budget": 1_000, "sampler": 0}
    (duration,) = [m for m in metrics.collect() if m.name == "asyncscope.task.duration"]
    (point,) = duration.data.data_points
    assert (point.count, point.min) == (100 // EVERY, 2.0)


def test_span_of_a_task_whose_name_was_not_read_has_none() -> None:
    play = Play()
    play.task("known", 1, 2)
    play.task("unknown", 1, 2).last_name = ""
    play.alive.clear()
    settings = ExportSettings(exporters=("file",))
    made = Pipeline(settings, make_traces(settings, {}, pytest.fail))
    spans = ran(made, play.batch())
    assert [dict(span.attributes).get("asyncscope.task.name") for span in spans] == ["known", None]


def test_holds_and_sessions_between_two_batches_are_bounded_and_counted() -> None:
    world = Agent(Settings(memory_mb=1), []).world
    collector = Collector(world)
    lock = asyncio.Lock()

    async def waiter() -> None:
        world.resources.wait_started(lock, "acquire", None)
        await asyncio.sleep(10)

    async def main() -> None:
        waiting = asyncio.ensure_future(waiter())
        await asyncio.sleep(0)
        for _ in range(260):
            world.resources.acquired_by(lock, None)
            world.resources.locks[id(lock)].known_holds[0].at_ns -= SHORT_WAIT_NS
            world.resources.released_by(lock, None)
            world.sessions.closed(world.sessions.opened("by hand"))
        waiting.cancel()

    asyncio.run(main())
    batch = collector.batch()
    assert (len(batch.holds), len(batch.sessions), collector.dropped) == (250, 250, 20)


def test_forked_child_exports_no_session_of_its_parent() -> None:
    world = Agent(Settings(), []).world
    collector = Collector(world)
    world.sessions.closed(world.sessions.opened("closed before"))
    inherited = world.sessions.opened("open before")
    collector.after_fork()
    own = world.sessions.opened("its own")
    assert [session.name for session in collector.unfinished().sessions] == ["its own"]
    world.sessions.closed(inherited)
    world.sessions.closed(own)
    assert [session.name for session in collector.batch().sessions] == ["its own"]


def test_ends_found_at_exit_are_one_upper_bound() -> None:
    world = Agent(Settings(), []).world
    collector = Collector(world)

    async def nothing() -> None: ...

    async def main() -> None:
        tasks.extend(asyncio.ensure_future(nothing()) for _ in range(2))
        for task in tasks:
            assert world.tasks.record_of(task) is not None
            await task

    tasks: list[asyncio.Future[None]] = []
    asyncio.run(main())
    collector.settle()
    first, second = collector.batch().tasks
    assert [first.outcome, second.outcome] == ["returned", "returned"]
    assert (first.end_is_exact, second.end_is_exact) == (False, False)
    assert first.ended_ns == second.ended_ns > 0


def test_shares_of_the_memory_grow_with_it() -> None:
    small, large = ExportSettings(memory_mb=16), ExportSettings(memory_mb=64)
    assert small.most_queued_bytes == 2_000_000
    assert large.most_queued_bytes == 8_000_000
    assert large.most_placed > 3 * small.most_placed


def test_what_is_remembered_of_traces_is_bounded() -> None:
    traces = make_traces(ExportSettings(memory_mb=1), {}, pytest.fail)
    play, most = Play(), ExportSettings(memory_mb=1).most_placed
    for number in range(2 * most):
        record = play.task(f"t{number}", number, number + 1)
        traces.place(record, {})
        traces.over([record])
    for table in (traces._placed, traces._by_id, traces.ended):
        assert 0 < len(table) <= most


def test_scopes_that_are_older_than_the_exporters_are_not_theirs() -> None:
    world = Agent(Settings(), []).world
    collector = Collector(world)
    assert world.scopes.outbox is not None

    async def main() -> TaskRecord:
        record = world.tasks.current()
        assert record is not None
        return record

    owner = asyncio.run(main())
    for serial, entered_ns in ((1, UNTIMED), (2, 5)):
        entry = [serial, "kind", serial, entered_ns, (), False, None]
        world.scopes.outbox.append((entry, owner, 7))
    ((scope, _),) = shown(collector.batch().scopes, Statics())
    assert (scope.serial, scope.entered_ns, scope.left_ns) == (2, 5, 7)
