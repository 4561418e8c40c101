"""The trackers for use by hand: the same records and findings without any hook."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from autoinstrument import (
    AsyncTaskTracker,
    CancelScopeMonitor,
    CancelScopeTracker,
    ResourceMonitor,
)
from autoinstrument.monitors import shared_world
from autoinstrument.world import World


@pytest.fixture
def world() -> World:
    return shared_world()


async def answer(value: int = 1) -> int:
    return value


async def broken() -> None:
    raise ValueError("broken")


def test_task_tracker_knows_what_became_of_its_tasks(world: World) -> None:
    async def main() -> tuple[AsyncTaskTracker, list[str], asyncio.Task[None]]:
        tracker = AsyncTaskTracker(world)
        done = tracker.create_task(answer(), name="good")
        bad = tracker.create_task(broken(), name="bad")
        slow = tracker.create_task(asyncio.sleep(30), name="slow")
        dropped = tracker.create_task(asyncio.sleep(30), name="dropped")
        dropped.cancel()
        await asyncio.gather(done, bad, dropped, return_exceptions=True)
        running = [record.name for record in tracker.active]
        assert tracker.get_summary()["names"] == ["slow"]
        slow.cancel()
        return tracker, running, slow

    tracker, running, _ = asyncio.run(main())
    assert running == ["slow"]
    assert sorted(record.name for record in tracker.completed) == ["dropped", "good", "slow"]
    (failed,) = tracker.failed
    assert (failed.name, failed.error_type, failed.end_is_exact) == ("bad", "ValueError", True)
    summary = tracker.get_summary()
    assert (summary["created"], summary["active"], summary["failed"]) == (4, 0, 1)
    assert 0 < summary["mean_duration_s"] <= summary["max_duration_s"] < 30


def test_task_tracker_needs_a_loop(world: World) -> None:
    coro = answer()
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncTaskTracker(world).create_task(coro)
    coro.close()


def crossed(tracker: CancelScopeTracker) -> None:
    """Enter a scope in one task and leave it in another, and one in good order."""

    async def enter() -> int:
        return tracker.enter_scope("session")

    async def leave(number: int) -> bool:
        return tracker.exit_scope(number)

    async def main() -> None:
        async with tracker.tracked_cancel_scope("request") as number:
            tracker.request_cancel(number, "enough")
        opened = await asyncio.create_task(enter(), name="opener")
        (info,) = tracker.get_active_scopes_info()
        assert (info["id"], info["name"], info["task"]) == (opened, "session", "opener")
        assert info["age_s"] >= 0
        assert not await asyncio.create_task(leave(opened), name="closer")

    asyncio.run(main())


def test_scope_tracker_finds_the_scope_left_by_another_task(world: World) -> None:
    tracker = CancelScopeTracker(world)
    crossed(tracker)
    assert tracker.get_scope_statistics() == {
        "entered": 2,
        "left": 2,
        "cancelled": 1,
        "violations": 1,
        "open": 0,
    }
    (finding,) = tracker.check_cross_task_violations()
    assert 'task "opener"' in finding.message
    assert finding.location is not None
    assert finding.location.file == __file__
    assert [event.event for event in tracker.events] == [
        *("enter", "cancel", "exit"),
        *("enter", "exit", "violation"),
    ]
    assert tracker.events[1].detail == "enough"
    assert {event.scope for event in tracker.events} == {"request", "session"}


def test_scope_tracker_writes_events_and_reports(world: World, tmp_path: Path) -> None:
    tracker = CancelScopeTracker(world)
    crossed(tracker)
    path = tmp_path / "events.json"
    tracker.write_events(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    assert document["version"] == 1
    assert [event["event"] for event in document["events"]][-1] == "violation"
    assert document["events"][0]["place"]["file"] == __file__
    (finding,) = tracker.report()["findings"]
    assert finding["kind"] == "cross_task_scope_exit"
    out = io.StringIO()
    tracker.print_summary(out)
    assert "2 entered, 2 left" in out.getvalue()
    assert "cross_task_scope_exit: " in out.getvalue()


def test_scope_tracker_refuses_what_is_not_open(world: World) -> None:
    tracker = CancelScopeTracker(world)
    for call in (tracker.exit_scope, tracker.request_cancel):
        with pytest.raises(KeyError):
            call(77)


def test_scope_tracker_keeps_a_bounded_history(world: World) -> None:
    tracker = CancelScopeTracker(world, history=4)
    for _ in range(10):
        tracker.exit_scope(tracker.enter_scope("again"))
    assert len(tracker.events) == 4
    assert tracker.get_scope_statistics()["entered"] == 10


def test_scope_monitor_says_only_what_was_wrong(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = CancelScopeMonitor(CancelScopeTracker(world))
    with monitor.watching():
        monitor.tracker.exit_scope(monitor.tracker.enter_scope())
    assert capsys.readouterr().err == ""
    with monitor.watching():
        crossed(monitor.tracker)
    assert "cross_task_scope_exit" in capsys.readouterr().err
    counts = monitor.statistics()
    assert counts["entered"] == 3
    assert counts["entered_per_s"] > 0


def test_resource_monitor_counts_sessions_and_the_process(world: World) -> None:
    monitor = ResourceMonitor(world)
    number = monitor.session_opened("search")
    assert monitor.statistics()["sessions"] == {"opened": 1, "open": 1}
    assert monitor.session_closed(number) >= 0
    with pytest.raises(KeyError):
        monitor.session_closed(number)
    process: dict[str, Any] = monitor.process()
    assert process["threads"] >= 1
    assert process["cpu_s"] > 0
    assert process["max_rss_bytes"] > 1_000_000
    assert set(monitor.statistics()) == {"locks", "loops", "sessions", "process"}


def test_resource_monitor_lists_locks_with_holders(world: World) -> None:
    async def main() -> list[dict[str, Any]]:
        lock = asyncio.Lock()
        task = asyncio.current_task()
        assert task is not None
        world.tasks.task_created(task, task.get_coro(), None)
        world.resources.acquired_by(lock, None, "asyncio.Lock")
        found = ResourceMonitor(world).locks()
        world.resources.released_by(lock, None)
        return found

    (lock,) = asyncio.run(main())
    assert (lock["kind"], lock["waiters"], lock["waits"]) == ("asyncio.Lock", [], 0)
    assert len(lock["holders"]) == 1
