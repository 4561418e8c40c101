"""For each key of `debug_config.yaml` a proof that it changes something."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from autoinstrument.debugger import own_process, remote, startup
from autoinstrument.debugger.async_debugger import AsyncDebugger
from autoinstrument.debugger.break_on import BreakOn
from autoinstrument.debugger.config import DebugConfig, read_section
from autoinstrument.debugger.errors import BreakpointRefused, DebuggerError, RemoteHostRefused
from autoinstrument.debugger.events import DebugEvent
from autoinstrument.debugger.log_setup import LOGGER
from autoinstrument.debugger.remote import RemoteDebugger
from autoinstrument.debugger.session import DebugSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


Proof = Callable[["Bench"], Awaitable[None]]
PROOFS: dict[str, Proof] = {}
OTHER_HOST = "192.0.2.1"  # reserved for documentation; nothing is connected to


def proves(*keys: str) -> Callable[[Proof], Proof]:
    def add(proof: Proof) -> Proof:
        PROOFS.update(dict.fromkeys(keys, proof))
        return proof

    return add


class Bench:
    """What a proof needs: settings, a folder, and stand-ins for what would open a port."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch

    @staticmethod
    def config(section: str, **values: Any) -> DebugConfig:
        return read_section(DebugConfig, {section: values}, "test")

    def file(self, text: str) -> str:
        path = self.folder / "debug_config.yaml"
        path.write_text(text)
        return str(path)

    def client_options(self) -> list[Any]:
        """Return the list to which the options of each own-process client will be added."""
        seen: list[Any] = []

        async def refuse(options: Any, *, allow_privileged: bool) -> Any:
            seen.append((options, allow_privileged))
            raise DebuggerError("stopped here")

        self.patch.setattr(own_process, "open_own_process", refuse)
        return seen


async def no_debugger(_debugger: Any, _session: Any) -> None:
    """Stand for `RemoteDebugger._join`: sessions have nothing behind them."""
    return


# -- remote_debugging, security ------------------------------------------------------------


@proves("remote_debugging.enabled")
async def enabled(bench: Bench) -> None:
    seen = bench.client_options()
    async with RemoteDebugger(config=bench.config("remote_debugging", enabled=False)).debug_session(
        "x"
    ) as session:
        assert session.link is None
    assert seen == []
    with pytest.raises(DebuggerError, match="stopped here"):
        await RemoteDebugger().open_session("x")


@proves("remote_debugging.debugpy_config")
async def debugpy_config(bench: Bench) -> None:
    path = bench.file("remote_debugging:\n  debugpy_config: none.json\n")
    lines: list[str] = []
    environ = {"ASYNCSCOPE_DEBUGPY": "0", "ASYNCSCOPE_CONFIG": path}
    assert startup.start_from_environment(environ, lines.append) is None
    assert str(bench.folder / "none.json") in lines[0]


@proves("remote_debugging.host", "remote_debugging.port", "security.allow_remote")
async def address(bench: Bench) -> None:
    config = bench.config("remote_debugging", host=OTHER_HOST, port=9)
    debugger = RemoteDebugger(config=config)
    assert (debugger.own_process, debugger.host, debugger.port) == (False, OTHER_HOST, 9)
    with pytest.raises(RemoteHostRefused):
        await debugger.open_session("x")
    tried: list[tuple[str, int]] = []

    class Client:
        def __init__(self, host: str, port: int, _options: Any) -> None:
            tried.append((host, port))

        async def open(self) -> None:
            raise DebuggerError("stopped here")

    bench.patch.setattr(remote, "AsyncDebugClient", Client)
    allowed = replace(config, security=replace(config.security, allow_remote=True))
    with pytest.raises(DebuggerError, match="stopped here"):
        await RemoteDebugger(config=allowed).open_session("x")
    assert tried == [(OTHER_HOST, 9)]


@proves(
    "remote_debugging.connect_timeout_s",
    "remote_debugging.request_timeout_s",
    "remote_debugging.just_my_code",
    "security.allow_privileged",
)
async def options_of_clients(bench: Bench) -> None:
    seen = bench.client_options()
    values = {"connect_timeout_s": 1.5, "request_timeout_s": 2.5, "just_my_code": False}
    config = bench.config("remote_debugging", **values)
    config = replace(config, security=replace(config.security, allow_privileged=True))
    with pytest.raises(DebuggerError, match="stopped here"):
        await RemoteDebugger(config=config).open_session("x")
    ((options, allow_privileged),) = seen
    assert {name: getattr(options, name) for name in values} == values
    assert allow_privileged is True


@proves("remote_debugging.stop_timeout_s")
async def stop_timeout(bench: Bench) -> None:
    made: list[Any] = []

    class Link:
        def __init__(self, *_: Any, **options: Any) -> None:
            made.append(options["stop_timeout_s"])
            raise DebuggerError("stopped here")

    async def opened(*_: Any, **__: Any) -> tuple[Any, Any]:
        return None, None

    bench.patch.setattr(own_process, "open_own_process", opened)
    bench.patch.setattr(remote, "Link", Link)
    config = bench.config("remote_debugging", stop_timeout_s=7.5)
    with pytest.raises(DebuggerError, match="stopped here"):
        await RemoteDebugger(config=config).open_session("x")
    assert made == [7.5]


@proves("security.allow_evaluate")
async def allow_evaluate(bench: Bench) -> None:
    config = bench.config("security", allow_evaluate=False)
    off = replace(config, remote_debugging=replace(config.remote_debugging, enabled=False))
    async with RemoteDebugger(config=off).debug_session("x") as session:
        with pytest.raises(DebuggerError, match="allow_evaluate is off"):
            await session.evaluate_expression("1")


@proves("security.allow_on_demand")
async def allow_on_demand(bench: Bench) -> None:
    lines: list[str] = []
    environ = {"ASYNCSCOPE_CONFIG": bench.file("security:\n  allow_on_demand: false\n")}
    assert startup.start_on_demand("0", lines.append, environ) is None
    assert "allow_on_demand" in lines[0]


# -- breakpoints, sessions -----------------------------------------------------------------


@proves("breakpoints.lines")
async def lines_of_every_session(bench: Bench) -> None:
    config = bench.config("breakpoints", lines=["app.py:12 if x > 3", "other.py:7"])
    done: list[Any] = []

    async def set_breakpoint(_session: Any, *words: Any, **_: Any) -> None:
        done.append(words)

    bench.patch.setattr(DebugSession, "set_breakpoint", set_breakpoint)
    bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
    await RemoteDebugger(config=config).open_session("x")
    assert done == [("app.py", 12, "x > 3"), ("other.py", 7, None)]


@proves("breakpoints.exceptions", "breakpoints.exception_types")
async def exceptions_of_every_session(bench: Bench) -> None:
    done: list[Any] = []

    async def set_exceptions(_session: Any, *filters: str, types: tuple[str, ...] = ()) -> None:
        done.append((filters, types))

    bench.patch.setattr(DebugSession, "set_exception_breakpoints", set_exceptions)
    bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
    config = bench.config("breakpoints", exceptions=["raised"], exception_types=["KeyError"])
    await RemoteDebugger(config=config).open_session("x")
    assert done == [(("raised",), ("KeyError",))]


@proves("breakpoints.break_on_interval_s")
async def break_on_interval(bench: Bench) -> None:
    path = bench.file("breakpoints:\n  break_on_interval_s: 3\n")
    assert BreakOn.from_text("any", path).interval_s == 3


@proves("breakpoints.max_per_session")
async def max_per_session(bench: Bench) -> None:
    bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
    debugger = RemoteDebugger(config=bench.config("breakpoints", max_per_session=1))
    session = await debugger.open_session("x")
    session.breakpoints["one"] = await session.set_breakpoint(__file__, 1)
    with pytest.raises(BreakpointRefused, match="may have 1 breakpoints"):
        await session.set_breakpoint(__file__, 2)


@proves(
    "sessions.max_sessions", "sessions.keep_events", "sessions.keep_closed", "sessions.metadata"
)
async def bounds_of_sessions(bench: Bench) -> None:
    bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
    config = bench.config(
        "sessions", max_sessions=1, keep_events=2, keep_closed=1, metadata={"team": "a"}
    )
    debugger = RemoteDebugger(config=config)
    session = await debugger.open_session("one", metadata={"k": "v"})
    assert session.metadata == {"team": "a", "k": "v"}
    with pytest.raises(DebuggerError, match="1 sessions are open"):
        await debugger.open_session("two")
    for _ in range(5):
        await session.deliver(DebugEvent("output", session))
    assert len(session.events) == 2
    await debugger.close_session(session.session_id)
    await debugger.close_session((await debugger.open_session("three")).session_id)
    assert [info.name for info in debugger.list_sessions(closed=True)] == ["three"]


@proves("sessions.close_timeout_s")
async def close_timeout(bench: Bench) -> None:
    async def never(_debugger: Any, _session: Any) -> None:
        await asyncio.sleep(60)

    bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
    bench.patch.setattr(RemoteDebugger, "_leave", never)
    debugger = RemoteDebugger(config=bench.config("sessions", close_timeout_s=0.05))
    session = await debugger.open_session("x")
    async with asyncio.timeout(30):
        await debugger.close_session(session.session_id)
    assert session.state == "closed"


# -- async_debugging, scope_tracking, monitoring, notifications ------------------------------


async def followed(config: DebugConfig, **options: Any) -> tuple[AsyncDebugger, list[str]]:
    """Follow one thing of each kind; return the debugger and what it told."""
    debugger = AsyncDebugger(config)
    told: list[str] = []
    debugger.on_notification(lambda sentence, _: told.append(sentence.split()[0]))
    lock = asyncio.Lock()
    if options.get("lock_is_held"):
        await lock.acquire()
        asyncio.get_running_loop().call_later(0.03, lock.release)
    async with debugger.tracked_task("t"), debugger.tracked_scope("s"):
        async with debugger.tracked_scope("inner"), debugger.tracked_lock(lock, "l"):
            await asyncio.sleep(options.get("sleep_s", 0))
        async with debugger.tracked_sdk_session("x"):
            pass
    await debugger.debug_async_operation("o", asyncio.sleep(options.get("sleep_s", 0)))
    if options.get("fails"):
        with pytest.raises(ZeroDivisionError):
            await debugger.debug_async_operation("f", _fail)
    return debugger, told


async def _fail() -> None:
    raise ZeroDivisionError


ALL = {"operation", "task", "scope", "lock", "sdk_session"}


@proves(
    "async_debugging.enabled",
    "async_debugging.track_tasks",
    "async_debugging.track_locks",
    "async_debugging.track_sdk_sessions",
    "scope_tracking.enabled",
)
async def what_is_followed(bench: Bench) -> None:
    async def kinds(section: str, **values: Any) -> set[str]:
        debugger, _ = await followed(bench.config(section, **values))
        return set(debugger.ledger.statistics())

    assert await kinds("async_debugging") == ALL
    assert await kinds("async_debugging", enabled=False) == set()
    assert await kinds("async_debugging", track_tasks=False) == ALL - {"task"}
    assert await kinds("async_debugging", track_locks=False) == ALL - {"lock"}
    assert await kinds("async_debugging", track_sdk_sessions=False) == ALL - {"sdk_session"}
    assert await kinds("scope_tracking", enabled=False) == ALL - {"scope"}


@proves("async_debugging.remote_debugging")
async def sessions_of_operations(bench: Bench) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def debug_session(_debugger: Any, name: str, **_: Any) -> AsyncIterator[Any]:
        opened.append(name)
        if name:
            raise DebuggerError("stopped here")
        yield None

    bench.patch.setattr(RemoteDebugger, "debug_session", debug_session)
    off = AsyncDebugger(bench.config("async_debugging", remote_debugging=False))
    await off.debug_async_operation("off", asyncio.sleep(0), [(__file__, 1)])
    with pytest.raises(DebuggerError, match="stopped here"):
        await AsyncDebugger().debug_async_operation("on", asyncio.sleep(0), [(__file__, 1)])
    assert opened == ["on"]


@proves("scope_tracking.max_nesting")
async def max_nesting(bench: Bench) -> None:
    assert (await followed(bench.config("scope_tracking", max_nesting=1)))[1] == ["scope"]
    assert (await followed(bench.config("scope_tracking", max_nesting=2)))[1] == []


@proves("monitoring.interval_s")
async def interval(bench: Bench) -> None:
    config = bench.config("monitoring", interval_s=0.01)
    config = replace(config, notifications=replace(config.notifications, slow_operation_ms=1.0))
    debugger = AsyncDebugger(config)
    told = asyncio.Event()
    debugger.on_notification(lambda *_: told.set())
    debugger.start_monitoring()
    async with asyncio.timeout(30):  # while it runs, not at its end
        await debugger.debug_async_operation("o", told.wait)
    await debugger.stop_monitoring()


@proves("monitoring.retention_s", "monitoring.max_operations")
async def retention(bench: Bench) -> None:
    debugger, _ = await followed(bench.config("monitoring", max_operations=2))
    assert len(list(debugger.ledger.latest())) == 2
    debugger, _ = await followed(bench.config("monitoring", retention_s=0.001))
    time.sleep(0.01)  # noqa: ASYNC251  (nothing else runs)
    assert list(debugger.ledger.latest()) == []


@proves(
    "notifications.enabled",
    "notifications.slow_operation_ms",
    "notifications.long_scope_ms",
    "notifications.lock_wait_ms",
    "notifications.failed_operations",
)
async def notifications(bench: Bench) -> None:
    quiet = {"slow_operation_ms": 0, "long_scope_ms": 0, "lock_wait_ms": 0}

    async def told(**values: Any) -> list[str]:
        config = bench.config("notifications", **quiet | {"failed_operations": False} | values)
        return (await followed(config, sleep_s=0.01, fails=True, lock_is_held=True))[1]

    assert await told() == []
    assert await told(slow_operation_ms=1) == ["operation"]
    assert await told(long_scope_ms=1) == ["scope", "scope"]
    assert await told(lock_wait_ms=1) == ["lock"]
    assert await told(failed_operations=True) == ["operation"]
    assert await told(failed_operations=True, enabled=False) == []


# -- logging -------------------------------------------------------------------------------


@proves("logging.level", "logging.file", "logging.events")
async def logs(bench: Bench) -> None:
    logger = logging.getLogger(LOGGER)
    before = (logger.level, list(logger.handlers))
    path = bench.folder / "debug.log"
    try:
        RemoteDebugger(config=bench.config("logging", level="error"))
        assert logger.level == logging.ERROR
        bench.patch.setattr(RemoteDebugger, "_join", no_debugger)
        debugger = RemoteDebugger(config=bench.config("logging", events=True, file=str(path)))
        session = await debugger.open_session("x")
        await session.deliver(DebugEvent("output", session))
        assert "output" in path.read_text()
    finally:
        logger.setLevel(before[0])
        for handler in set(logger.handlers) - set(before[1]):
            logger.removeHandler(handler)
            handler.close()
