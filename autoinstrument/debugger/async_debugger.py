"""`AsyncDebugger`: follow named operations, and stop in them.

```python
debugger = AsyncDebugger()
result = await debugger.debug_async_operation(
    "import orders", import_orders(path), breakpoints=[("orders.py", 41)], on_stop=show
)
debugger.print_summary()
```
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .config import DebugConfig, load_debug_config
from .remote import RemoteDebugger
from .tracking import Ledger, TrackedRecord, Trackers, agent_status, shared_trackers, task_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import TextIO

    from .events import DebugEvent, EventHandler

T = TypeVar("T")
_log = logging.getLogger(__name__)
_depth: Final[ContextVar[int]] = ContextVar("asyncscope_tracked_depth", default=0)


class AsyncDebugger:
    """Follows operations, tasks, scopes, locks and SDK sessions that are named by hand.

    All of it is told to the agent's trackers, or to trackers of its own where no agent is
    installed: the same statistics, the same findings. A debug session is opened only for operations
    with breakpoints. With `async_debugging.enabled: false` everything passes through.
    """

    def __init__(
        self,
        config: DebugConfig | str | os.PathLike[str] | None = None,
        remote: RemoteDebugger | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        """Take settings, or the path of a `debug_config.yaml`; `remote` for another process.

        `trackers` get the facts instead of those of this process.
        """
        if config is None or isinstance(config, DebugConfig):
            self.config = config or (remote.config if remote is not None else DebugConfig())
        else:
            self.config = load_debug_config(os.fspath(config))
        self.remote = remote or RemoteDebugger(config=self.config)
        monitoring = self.config.monitoring
        self.ledger = Ledger(monitoring.max_operations, monitoring.retention_s)
        self._trackers = trackers
        self.notifications = 0
        self.started = time.time()
        self._notify: list[Callable[[str, TrackedRecord], None]] = []
        self._monitor: asyncio.Task[None] | None = None
        self._told: set[int] = set()

    @property
    def enabled(self) -> bool:
        """Whether anything is followed at all."""
        return self.config.async_debugging.enabled

    @property
    def trackers(self) -> Trackers:
        """Where facts are told; found at the first use."""
        if self._trackers is None:
            self._trackers = shared_trackers()
        return self._trackers

    # -- operations ----------------------------------------------------------------------------

    async def debug_async_operation(
        self,
        name: str,
        operation: Coroutine[Any, Any, T] | Callable[[], Awaitable[T]],
        breakpoints: Iterable[tuple[str | Path, int]] = (),
        *,
        on_stop: EventHandler | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> T:
        """Run a coroutine, or a function that returns one, and return its result.

        With breakpoints a debug session is open meanwhile, `on_stop` is called at each stop, and
        the operation continues afterwards. What the operation raises is raised here.
        """
        if not self.enabled:
            return await _begun(operation)
        record = TrackedRecord("operation", name, task_name(), dict(metadata or {}))
        record.record = self.trackers.running_task()
        async with self._followed(record), AsyncExitStack() as stack:
            places = list(breakpoints)
            if places and self.config.async_debugging.remote_debugging:
                try:
                    await self._open_session(stack, record, places, on_stop)
                except BaseException:
                    # Otherwise the interpreter reports the coroutine as never awaited.
                    if inspect.iscoroutine(operation):
                        operation.close()
                    raise
            return await _begun(operation)

    async def _open_session(
        self,
        stack: AsyncExitStack,
        record: TrackedRecord,
        places: list[tuple[str | Path, int]],
        on_stop: EventHandler | None,
    ) -> None:
        session = await stack.enter_async_context(
            self.remote.debug_session(record.name, metadata=record.metadata)
        )
        record.session_id = session.session_id

        async def count(_event: DebugEvent) -> None:
            record.stops += 1

        session.register_event_handler("stopped", count)
        if on_stop is not None:
            session.register_event_handler("stopped", on_stop)
        for file, line in places:
            await session.set_breakpoint(file, line)

    # -- by hand -------------------------------------------------------------------------------

    @asynccontextmanager
    async def tracked_task(self, name: str, **metadata: Any) -> AsyncIterator[TrackedRecord]:
        """Follow what the running task does in the block."""
        record = TrackedRecord("task", name, task_name(), metadata)
        if self._follows(record):
            record.record = self.trackers.running_task()
        async with self._followed(record):
            yield record

    @asynccontextmanager
    async def tracked_scope(
        self, name: str, timeout_s: float | None = None, **metadata: Any
    ) -> AsyncIterator[TrackedRecord]:
        """Follow a scope; with `timeout_s` it is cancelled then, as by `asyncio.timeout`."""
        record = TrackedRecord("scope", name, task_name(), metadata, depth=_depth.get())
        follows = self._follows(record)
        if follows and record.depth >= self.config.scope_tracking.max_nesting:
            self._tell(f"scope {name!r} is nested {record.depth} deep", record)
        before = _depth.get()
        _depth.set(before + 1)
        scope = self.trackers.scope_entered(name) if follows else None
        try:
            # Without a deadline nothing is entered: an `asyncio.timeout` is a scope of its own.
            async with self._followed(record), _deadline(timeout_s):
                yield record
        finally:
            if follows:
                record.record = self.trackers.scope_left(scope)
            _depth.set(before)

    @asynccontextmanager
    async def tracked_lock(
        self, lock: asyncio.Lock | asyncio.Semaphore | asyncio.Condition, name: str = "lock"
    ) -> AsyncIterator[TrackedRecord]:
        """Hold a lock for the block; how long it was waited for and held is recorded."""
        record = TrackedRecord("lock", name, task_name())
        if not self._follows(record):
            async with lock:
                yield record
            return
        async with self._followed(record):
            await self._take(lock, record)
            try:
                yield record
            finally:
                self.trackers.lock_given_back(lock)
                lock.release()

    async def _take(
        self, lock: asyncio.Lock | asyncio.Semaphore | asyncio.Condition, record: TrackedRecord
    ) -> None:
        self.trackers.lock_wanted(lock, record.name)
        try:
            await lock.acquire()
        except BaseException:
            self.trackers.lock_not_taken(lock)
            raise
        record.record = self.trackers.lock_taken(lock, record.name)
        record.waited_ms = (time.perf_counter_ns() - record.started_ns) / 1e6
        limit_ms = self.config.notifications.lock_wait_ms
        if limit_ms and record.waited_ms > limit_ms:
            self._tell(f"lock {record.name!r} was waited for {record.waited_ms:.0f} ms", record)

    @asynccontextmanager
    async def tracked_sdk_session(self, name: str, **metadata: Any) -> AsyncIterator[TrackedRecord]:
        """Follow a session with an SDK's client."""
        record = TrackedRecord("sdk_session", name, task_name(), metadata)
        follows = self._follows(record)
        if follows:
            record.record = self.trackers.session_opened(name)
        try:
            async with self._followed(record):
                yield record
        finally:
            if follows:
                self.trackers.session_closed(record.record)

    def _follows(self, record: TrackedRecord) -> bool:
        settings = self.config.async_debugging
        if not settings.enabled:
            return False
        wanted = {
            "task": settings.track_tasks,
            "scope": self.config.scope_tracking.enabled,
            "lock": settings.track_locks,
            "sdk_session": settings.track_sdk_sessions,
        }
        return wanted.get(record.kind, True)

    @asynccontextmanager
    async def _followed(self, record: TrackedRecord) -> AsyncIterator[None]:
        if not self._follows(record):
            yield
            return
        self.ledger.begin(record)
        error: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            error = exc
            raise
        finally:
            self.ledger.end(record, error)
            self._judge(record)
            self._told.discard(id(record))
            error = None

    # -- notifications -------------------------------------------------------------------------

    def on_notification(self, handler: Callable[[str, TrackedRecord], None]) -> None:
        """Call a function with a sentence and its record when a threshold is passed."""
        self._notify.append(handler)

    def start_monitoring(self) -> None:
        """Look every `monitoring.interval_s` for what runs too long; ends with the loop."""
        if self._monitor is None or self._monitor.done():
            self._monitor = asyncio.create_task(self._watch(), name="asyncscope monitor")

    async def stop_monitoring(self) -> None:
        """End what `start_monitoring` began."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.cancel()
            with suppress(asyncio.CancelledError):
                await monitor

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.config.monitoring.interval_s)
            now = time.perf_counter_ns()
            for record in tuple(self.ledger.running.values()):
                if id(record) not in self._told:
                    self._judge_time(record, (now - record.started_ns) / 1e6, "runs for")

    def _judge(self, record: TrackedRecord) -> None:
        failed = record.outcome == "error" and record.kind == "operation"
        if failed and self.config.notifications.failed_operations:
            self._tell(f"operation {record.name!r} failed: {record.error}", record)
        if id(record) not in self._told:
            self._judge_time(record, record.duration_ms, "took")

    def _judge_time(self, record: TrackedRecord, spent_ms: float, verb: str) -> None:
        limits = self.config.notifications
        by_kind = {"operation": limits.slow_operation_ms, "scope": limits.long_scope_ms}
        limit_ms = by_kind.get(record.kind, 0.0)
        if limit_ms and spent_ms > limit_ms:
            self._told.add(id(record))
            self._tell(f"{record.kind} {record.name!r} {verb} {spent_ms:.0f} ms", record)

    def _tell(self, sentence: str, record: TrackedRecord) -> None:
        if not self.config.notifications.enabled:
            return
        self.notifications += 1
        _log.warning("%s", sentence)
        for handler in tuple(self._notify):
            try:
                handler(sentence, record)
            except Exception:
                _log.exception("a notification handler failed")

    # -- results -------------------------------------------------------------------------------

    def get_debug_statistics(self) -> dict[str, Any]:
        """Return exact counters: of what was named, of the trackers, and of the hooks."""
        return {
            "enabled": self.enabled,
            "seconds": round(time.time() - self.started, 3),
            "tracked": self.ledger.statistics(),
            "notifications": self.notifications,
            "dropped": self.ledger.dropped,
            "remote": self.remote.get_statistics(),
            "trackers": self.trackers.statistics() if self.enabled else {},
            "agent": agent_status(),
        }

    def generate_report(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a JSON report, and write it to a file if one is named."""
        report = {
            "version": 1,
            "process": {"pid": os.getpid(), "python": sys.version.split()[0], "argv": sys.argv},
            "statistics": self.get_debug_statistics(),
            "findings": self.trackers.findings() if self.enabled else [],
            "running": [record.as_dict() for record in self.ledger.running.values()],
            "finished": [record.as_dict() for record in self.ledger.latest()],
        }
        text = json.dumps(report, indent=2, default=str)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return text

    def print_summary(self, file: TextIO | None = None) -> None:
        """Write a few lines for people, to stderr unless a file is given."""
        out = file if file is not None else sys.stderr
        statistics = self.get_debug_statistics()
        out.write(f"asyncscope debug summary, {statistics['seconds']} s\n")
        for kind, numbers in statistics["tracked"].items():
            count, longest = numbers.get("count", 0), numbers.get("longest_ms", 0.0)
            failed, running = numbers.get("error", 0), numbers["running"]
            out.write(
                f"  {kind}: {count} ended, {running} running, {failed} failed,"
                f" longest {longest:.1f} ms\n"
            )
        for finding in self.trackers.findings() if self.enabled else []:
            out.write(f"  {finding['kind']}: {finding['message']}\n")
        remote = statistics["remote"]
        out.write(f"  debug sessions: {remote['sessions_opened']}, stops: {remote['stops']}\n")


def _deadline(timeout_s: float | None) -> AbstractAsyncContextManager[object]:
    return nullcontext() if timeout_s is None else asyncio.timeout(timeout_s)


async def _begun(operation: Coroutine[Any, Any, T] | Callable[[], Awaitable[T]]) -> T:
    if callable(operation):
        return await operation()
    return await operation
