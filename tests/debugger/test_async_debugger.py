"""`AsyncDebugger` and the decorators; with breakpoints in a process of their own."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import time
from typing import TYPE_CHECKING

import pytest

from autoinstrument.debugger.async_debugger import AsyncDebugger
from autoinstrument.debugger.config import (
    AsyncDebuggingConfig,
    DebugConfig,
    MonitoringConfig,
    NotificationsConfig,
    ScopeTrackingConfig,
)
from autoinstrument.debugger.decorators import debug_async, debug_scope, debug_task

from .test_remote import run_own

if TYPE_CHECKING:
    from pathlib import Path

    from autoinstrument.debugger.tracking import TrackedRecord

pytestmark = pytest.mark.asyncio


async def double(n: int) -> int:
    await asyncio.sleep(0)
    return n * 2


async def fail() -> None:
    raise ValueError("no")


def outcomes(debugger: AsyncDebugger) -> list[tuple[str, str, str]]:
    return [(r.kind, r.name, r.outcome) for r in debugger.ledger.latest()]


async def test_operations_return_raise_and_are_recorded() -> None:
    debugger = AsyncDebugger()
    assert await debugger.debug_async_operation("one", double(2)) == 4
    assert await debugger.debug_async_operation("two", lambda: double(3)) == 6
    with pytest.raises(ValueError, match="no"):
        await debugger.debug_async_operation("three", fail())
    task = asyncio.create_task(debugger.debug_async_operation("four", asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(debugger) == [
        ("operation", "one", "ok"),
        ("operation", "two", "ok"),
        ("operation", "three", "error"),
        ("operation", "four", "cancelled"),
    ]
    assert debugger.ledger.running == {}


async def test_scope_lock_task_and_sdk_session() -> None:
    debugger = AsyncDebugger()
    lock = asyncio.Lock()
    async with debugger.tracked_task("t"), debugger.tracked_scope("outer"):
        async with debugger.tracked_scope("inner") as inner:
            assert inner.depth == 1
        async with debugger.tracked_lock(lock, "l"):
            assert lock.locked()
        async with debugger.tracked_sdk_session("s", model="m"):
            pass
    with pytest.raises(TimeoutError):
        async with debugger.tracked_scope("late", timeout_s=0.01):
            await asyncio.sleep(60)
    statistics = debugger.get_debug_statistics()["tracked"]
    assert statistics["scope"]["count"] == 3
    assert statistics["scope"]["error"] == 1
    assert statistics["lock"]["ok"] == statistics["sdk_session"]["ok"] == 1


async def test_decorators_keep_the_function_and_follow_it() -> None:
    debugger = AsyncDebugger()

    @debug_async("op", debugger=debugger)
    async def op(n: int) -> int:
        """Say so."""
        return await double(n)

    @debug_task(debugger=debugger)
    async def task() -> int:
        return 1

    @debug_scope("sc", debugger=debugger)
    async def scope() -> int:
        return 2

    assert inspect.iscoroutinefunction(op)
    assert op.__doc__ == "Say so."
    assert (await op(4), await task(), await scope()) == (8, 1, 2)
    names = [name.rpartition(".")[2] for _, name, _ in outcomes(debugger)]
    assert names == ["op", "task", "sc"]
    with pytest.raises(TypeError, match="must be a coroutine function"):
        debug_async()(len)  # type: ignore[arg-type]


async def test_thresholds_notify_once() -> None:
    config = DebugConfig(
        notifications=NotificationsConfig(slow_operation_ms=20, lock_wait_ms=5),
        monitoring=MonitoringConfig(interval_s=0.01),
        scope_tracking=ScopeTrackingConfig(max_nesting=1),
    )
    debugger = AsyncDebugger(config)
    told: list[str] = []

    def broken(_sentence: str, _record: TrackedRecord) -> None:
        raise RuntimeError

    debugger.on_notification(broken)
    debugger.on_notification(lambda sentence, _: told.append(sentence))
    debugger.start_monitoring()
    await debugger.debug_async_operation("slow", asyncio.sleep(0.08))
    await debugger.stop_monitoring()
    lock = asyncio.Lock()
    await lock.acquire()
    asyncio.get_running_loop().call_later(0.03, lock.release)
    async with (
        debugger.tracked_lock(lock, "l"),
        debugger.tracked_scope("a"),
        debugger.tracked_scope("b"),
    ):
        pass
    with pytest.raises(ValueError, match="no"):
        await debugger.debug_async_operation("bad", fail())
    assert [sentence.split("'")[0] + sentence.split("'")[1] for sentence in told] == [
        "operation slow",
        "lock l",
        "scope b",
        "operation bad",
    ]
    assert debugger.notifications == 4


async def test_bounds_report_and_summary(tmp_path: Path) -> None:
    debugger = AsyncDebugger(DebugConfig(monitoring=MonitoringConfig(max_operations=2)))
    for n in range(4):
        await debugger.debug_async_operation(str(n), double(n))
    report = json.loads(debugger.generate_report(tmp_path / "report.json"))
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert [entry["name"] for entry in report["finished"]] == ["2", "3"]
    assert report["statistics"]["tracked"]["operation"]["count"] == 4
    assert report["statistics"]["dropped"] == 2
    out = io.StringIO()
    debugger.print_summary(out)
    assert "operation: 4 ended, 0 running, 0 failed" in out.getvalue()
    old = AsyncDebugger(DebugConfig(monitoring=MonitoringConfig(retention_s=0.01)))
    await old.debug_async_operation("x", double(1))
    await asyncio.sleep(0.03)
    assert list(old.ledger.latest()) == []


async def test_switched_off_is_nearly_free() -> None:
    off = AsyncDebugger(DebugConfig(async_debugging=AsyncDebuggingConfig(enabled=False)))
    started = time.perf_counter()
    for n in range(1000):
        await off.debug_async_operation("x", double(n), breakpoints=[(__file__, 1)])
    spent_us = (time.perf_counter() - started) * 1000
    assert off.get_debug_statistics()["tracked"] == {}
    assert spent_us < 200  # about 2; a session would take 5,000


@pytest.mark.slow
async def test_operation_with_breakpoints_stops_and_goes_on(tmp_path: Path) -> None:
    found = await asyncio.to_thread(
        run_own,
        tmp_path / "own.py",
        """
        from autoinstrument.debugger import AsyncDebugger, debug_async
        async def main():
            debugger, seen = AsyncDebugger(), []
            async def on_stop(event):
                seen.append((await event.session.evaluate_expression("doubled")).result)
            places = [(__file__, line("awork") + 1)]
            one = await debugger.debug_async_operation("op", awork(4), places, on_stop=on_stop)
            @debug_async(breakpoints=places, on_stop=on_stop, debugger=debugger)
            async def decorated(n):
                return await awork(n)
            two = await decorated(5)
            try:
                await debugger.debug_async_operation("bad", awork(6), [(__file__, 0)])
            except BreakpointRefused as exc:
                refused = str(exc)
            records = [r.as_dict() for r in debugger.ledger.latest()]
            return {"one": one, "two": two, "seen": seen, "refused": refused,
                "stops": [r["stops"] for r in records]}
        """,
    )
    assert (found["one"], found["two"]) == (8, 10)
    assert found["seen"] == ["8", "10"]
    assert found["stops"] == [1, 1, 0]
    assert "1 or more" in found["refused"]
    assert found["stderr"].count("never awaited") == 0
