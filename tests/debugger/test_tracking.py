"""What `AsyncDebugger` follows is in the trackers: the same records, the same findings."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from autoinstrument.debugger.async_debugger import AsyncDebugger
from tests.helpers import run_child

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.asyncio
async def test_scope_left_by_another_task_is_found_at_its_lines() -> None:
    debugger = AsyncDebugger()
    scope = debugger.tracked_scope("session")
    await scope.__aenter__()

    async def close() -> None:
        await scope.__aexit__(None, None, None)  # LEFT

    await asyncio.create_task(close(), name="closer")
    (finding,) = debugger.trackers.findings()
    assert finding["kind"] == "cross_task_scope_exit"
    assert finding["location"]["file"] == __file__
    with open(__file__, encoding="utf-8") as source:  # noqa: ASYNC230  (a test's own file)
        lines = source.read().splitlines()
    assert lines[finding["location"]["line"] - 1].endswith("# LEFT")
    out = io.StringIO()
    debugger.print_summary(out)
    assert 'by task "closer"' in out.getvalue()
    assert json.loads(debugger.generate_report())["findings"] == [finding]


@pytest.mark.asyncio
async def test_locks_taken_crosswise_are_found() -> None:
    debugger = AsyncDebugger()
    one, two = asyncio.Lock(), asyncio.Lock()

    async def worker(first: asyncio.Lock, second: asyncio.Lock) -> None:
        async with debugger.tracked_lock(first, "first"):
            await asyncio.sleep(0)
            async with debugger.tracked_lock(second, "second"):
                pass

    tasks = [
        asyncio.create_task(worker(one, two), name="a"),
        asyncio.create_task(worker(two, one), name="b"),
    ]
    await asyncio.wait(tasks, timeout=0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [finding["kind"] for finding in debugger.trackers.findings()] == ["lock_deadlock"]
    statistics = debugger.trackers.statistics()["locks"]
    assert (statistics["acquired"], statistics["released"]) == (2, 2)
    assert (statistics["waits"], statistics["waiting"]) == (2, 0)


@pytest.mark.asyncio
async def test_healthy_program_is_silent_and_counted() -> None:
    debugger = AsyncDebugger()
    condition, semaphore = asyncio.Condition(), asyncio.Semaphore(2)
    async with debugger.tracked_scope("outer") as outer, debugger.tracked_task("job") as job:
        for lock in (condition, semaphore, asyncio.Lock()):
            async with debugger.tracked_lock(lock, "any"):
                assert lock.locked() or lock is semaphore
            assert not lock.locked()
        async with debugger.tracked_sdk_session("chat") as chat:
            assert debugger.trackers.statistics()["sessions"] == {"opened": 1, "open": 1}
    assert (outer.record, chat.record) == (1, 1)
    assert job.record > 0
    statistics = debugger.get_debug_statistics()["trackers"]
    assert (statistics["scopes"]["entered"], statistics["scopes"]["open"]) == (1, 0)
    assert statistics["sessions"] == {"opened": 1, "open": 0}
    assert (statistics["locks"]["acquired"], statistics["locks"]["released"]) == (3, 3)
    assert debugger.trackers.findings() == []


@pytest.mark.asyncio
async def test_switched_off_section_tells_the_trackers_nothing() -> None:
    class Refuses:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was told")

    from autoinstrument.debugger.config import (
        AsyncDebuggingConfig,
        DebugConfig,
        ScopeTrackingConfig,
    )

    off = AsyncDebuggingConfig(track_tasks=False, track_locks=False, track_sdk_sessions=False)
    config = DebugConfig(async_debugging=off, scope_tracking=ScopeTrackingConfig(enabled=False))
    debugger = AsyncDebugger(config, trackers=Refuses())
    async with (
        debugger.tracked_task("t"),
        debugger.tracked_scope("s"),
        debugger.tracked_lock(asyncio.Lock(), "l"),
        debugger.tracked_sdk_session("x"),
    ):
        pass
    assert debugger.ledger.statistics() == {}


@pytest.mark.slow
def test_agent_and_debugger_have_the_same_records(tmp_path: Path) -> None:
    child = run_child(
        "-c",
        """
import asyncio, json
from autoinstrument import agent
from autoinstrument.debugger import AsyncDebugger

async def main():
    debugger = AsyncDebugger()
    lock = asyncio.Lock()
    async with debugger.tracked_scope("outer"), debugger.tracked_lock(lock, "l"):
        pass
    async with debugger.tracked_sdk_session("chat"):
        pass
    scope = debugger.tracked_scope("crossed")
    await scope.__aenter__()
    await asyncio.create_task(scope.__aexit__(None, None, None))
    own = debugger.get_debug_statistics()["trackers"]
    print(json.dumps([own["locks"]["acquired"], own["locks"]["released"],
        own == agent.current().world.statistics()]))

asyncio.run(main())
""",
        env={
            "ASYNCSCOPE_ENABLE": "1",
            "ASYNCSCOPE_QUIET": "1",
            "ASYNCSCOPE_REPORT": str(tmp_path / "report.json"),
        },
    )
    assert child.status == 0, child.err
    assert json.loads(child.out) == [1, 1, True]  # the hook's record, not a second one
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["statistics"]["sessions"] == {"opened": 1, "open": 0}
    kinds = [finding["kind"] for finding in report["findings"]]
    assert kinds == ["cross_task_scope_exit"]
