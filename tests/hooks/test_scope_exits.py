"""Entries and exits of scopes are recorded by woven code; only what is unusual makes a record."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from autoinstrument.records import UNTIMED, CancelOrigin, ScopeRecord, TaskRecord, left_record
from autoinstrument.trackers.scopes import ScopeTracker
from tests.hooks.conftest import Install


def own_record(tracker: Any) -> TaskRecord:
    record = tracker.current()
    assert isinstance(record, TaskRecord)
    return record


def test_usual_exits_are_counted_and_leave_nothing(install: Install) -> None:
    world = install().world

    async def main() -> list[str]:
        with anyio.CancelScope(), anyio.move_on_after(60, shield=True), anyio.fail_after(60):
            async with asyncio.timeout(60), asyncio.TaskGroup(), anyio.create_task_group():
                kinds = [scope.kind for scope in own_record(world.tasks).scopes]
        assert own_record(world.tasks).open_scopes == []
        return kinds

    assert asyncio.run(main()) == ["anyio.CancelScope"] * 3 + [
        "asyncio.timeout",
        "asyncio.TaskGroup",
        "anyio.CancelScope",
    ]
    assert world.scopes.entered == world.scopes.left == 6  # checkpoints of anyio are none
    assert world.scopes.open == []


def test_record_of_an_open_scope_stays_the_same_and_is_closed(install: Install) -> None:
    world = install().world

    async def main() -> None:
        async with asyncio.timeout(60):
            (first,) = own_record(world.tasks).scopes
            (second,) = own_record(world.tasks).scopes
            await asyncio.sleep(0)
            assert first is second
            assert not first.left_ns
        assert first.left_ns

    asyncio.run(main())


def test_woven_code_keeps_no_task(install: Install) -> None:
    install()

    async def groups() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))

    async def main() -> None:
        task = asyncio.create_task(groups())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving: Any = task.get_coro()
        while "__aexit__" not in leaving.__qualname__:
            leaving = leaving.cr_await
        held = leaving.cr_frame.f_locals
        names = {name for name in held if name.startswith("asyncscope")}
        assert names
        assert all(held[name] is not task for name in names)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_each_cancellation_by_a_scope_is_told_once(install: Install) -> None:
    world = install().world

    async def main() -> list[CancelOrigin]:
        with anyio.move_on_after(0.001):
            await anyio.sleep(60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        return list(own_record(world.tasks).cancels or ())

    origins = asyncio.run(main())
    assert [origin.via for origin in origins] == ["scope", "deadline"]
    kinds = [origin.by_scope.kind for origin in origins if origin.by_scope is not None]
    assert kinds == ["anyio.CancelScope", "asyncio.timeout"]
    for origin in origins:
        assert origin.by_scope is not None
        assert origin.by_scope.expired_ns
        assert origin.parked[-1][0].co_name == "main"


def broken(*_: Any) -> None:
    raise LookupError("broken on purpose")


async def three_timeouts() -> int:
    for _ in range(3):
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
    return 7


def test_failure_of_ours_switches_entries_off_with_one_line(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ScopeTracker, "scope_entered", broken)
    install().world.scopes.last = broken
    assert asyncio.run(three_timeouts()) == 7
    text = capsys.readouterr().err
    assert text.count("scopes.entered failed (LookupError: broken on purpose") == 1


def test_what_woven_code_cannot_record_is_recorded_by_a_call(install: Install) -> None:
    scopes = install().world.scopes
    scopes.last = broken
    assert asyncio.run(three_timeouts()) == 7
    assert (scopes.entered, scopes.left, scopes.open) == (3, 3, [])


@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
def test_exporters_get_scopes_with_their_times(install: Install, kind: str) -> None:
    world = install().world
    outbox: deque[Any] = deque()
    kept: list[ScopeRecord] = []

    async def main() -> None:
        before = asyncio.timeout(60) if kind == "asyncio" else in_task(anyio.CancelScope())
        async with before:
            world.scopes.outbox = outbox
        async with asyncio.timeout(60) if kind == "asyncio" else in_task(anyio.CancelScope()):
            (record,) = own_record(world.tasks).scopes
            kept.append(record)
        async with asyncio.timeout(60) if kind == "asyncio" else in_task(anyio.CancelScope()):
            await asyncio.sleep(0.001)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.005))

    asyncio.run(main())
    early, asked, timed, group = [left_record(left) for left in outbox]
    assert early.entered_ns == UNTIMED
    assert asked is kept[0]
    assert 1_000_000 <= timed.left_ns - timed.entered_ns < 1_000_000_000
    assert group.kind == "asyncio.TaskGroup"
    assert group.left_ns - group.entered_ns >= 5_000_000
    assert [scope.serial for scope in (early, asked, timed, group)] == [1, 2, 3, 4]


@contextlib.asynccontextmanager
async def in_task(scope: anyio.CancelScope) -> AsyncIterator[None]:
    with scope:
        yield


def test_passed_deadline_and_cancellation_by_hand_are_told_apart(install: Install) -> None:
    world = install().world

    def requested() -> tuple[str, str, bool]:
        origin = own_record(world.tasks).scopes[-1].cancel_origin
        assert origin is not None
        here = any(code is main.__code__ for code, _ in origin.stack)
        return origin.via, origin.by_task, here

    async def main() -> list[tuple[str, str, bool]]:
        early = anyio.CancelScope(deadline=anyio.current_time() - 1)
        early.cancel()  # before it is entered: its deadline is of no interest then
        with early:
            assert own_record(world.tasks).scopes[-1].cancel_origin is None
        assert world.scopes.expiring is None
        found = []
        with anyio.move_on_after(0):  # noqa: ASYNC100 - it is only looked at
            found.append(requested())
        with anyio.CancelScope() as by_hand:  # noqa: ASYNC100
            by_hand.cancel()
            found.append(requested())
        with anyio.CancelScope() as moved:  # noqa: ASYNC100
            moved.deadline = anyio.current_time() - 1
            found.append(requested())
        with anyio.move_on_after(0.001):
            try:
                await anyio.sleep(60)
            finally:
                found.append(requested())
        return found

    async def named() -> list[tuple[str, str, bool]]:
        return await asyncio.create_task(main(), name="main")

    assert asyncio.run(named()) == [
        ("deadline", "main", True),
        ("scope", "main", True),
        ("deadline", "main", True),
        ("deadline", "", False),  # by the loop
    ]
    assert world.scopes.expired == 3
