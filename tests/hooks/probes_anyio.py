"""Things that a program can see of anyio on asyncio; each returns what it saw."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from tests.hooks.probes import Thing, no_collector, plain, told

Probe = Callable[[], Awaitable[Any]]
PROBES: dict[str, Probe] = {}


def probe(function: Probe) -> Probe:
    """Enter a coroutine function into the table of probes."""
    PROBES[function.__name__] = function
    return function


async def caught(awaitable: Any) -> str:
    try:
        await awaitable
    except BaseException as error:
        return told(error)
    return "nothing"


async def fails() -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError("bad")


@probe
async def scopes_and_deadlines() -> Any:
    seen: list[Any] = []
    with anyio.move_on_after(0.005) as scope:
        await anyio.sleep(5)
    seen += [scope.cancelled_caught, scope.cancel_called, scope.shield]
    with anyio.CancelScope(shield=True) as outer, anyio.CancelScope() as inner:
        outer.cancel()
        seen.append(anyio.current_effective_deadline() < 0)
        await caught(anyio.lowlevel.checkpoint())
    seen += [outer.cancelled_caught, inner.cancelled_caught]
    try:
        with anyio.fail_after(0.005):
            await anyio.sleep(5)
    except TimeoutError as error:
        seen.append(told(error))
    return seen


@probe
async def tracebacks_of_groups() -> Any:
    async def group() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fails, name="failing")
            tasks.start_soon(anyio.sleep, 5)

    async def cancelled() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.cancel_scope.cancel()
            await anyio.sleep(5)

    return [await caught(group()), await caught(cancelled())]


@probe
async def tasks_and_names() -> Any:
    seen: list[Any] = []
    end = anyio.Event()

    async def child(*, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started(7)
        seen.append(plain(anyio.get_current_task().name or ""))
        await end.wait()

    async with anyio.create_task_group() as tasks:
        seen.append(await tasks.start(child))
        tasks.start_soon(child, name="named")
        await anyio.lowlevel.checkpoint()
        seen.append(sorted(plain(task.name or "") for task in anyio.get_running_tasks()))
        end.set()
    return seen


@probe
async def locks() -> Any:
    lock, semaphore, condition = anyio.Lock(), anyio.Semaphore(1), anyio.Condition()
    seen: list[Any] = []

    async def take(name: str) -> None:
        async with lock, semaphore, condition:
            seen.append(name)
            await anyio.lowlevel.checkpoint()

    async with lock, anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(take, name)
        await anyio.lowlevel.checkpoint()
        statistics = lock.statistics()
        seen += [statistics.locked, statistics.tasks_waiting, lock.locked()]
        seen.append((await caught(lock.acquire())).splitlines()[-1])
        lock.release()
        await anyio.sleep(0.01)
        await lock.acquire()
    try:
        lock.release()
    except RuntimeError as error:
        seen.append(told(error))
    try:
        lock.acquire_nowait()
        lock.acquire_nowait()
    except (RuntimeError, anyio.WouldBlock) as error:
        seen.append(told(error))
    return seen


@probe
async def limiters() -> Any:
    limiter, request, seen = anyio.CapacityLimiter(1), Thing(), list[Any]()

    async def take(seconds: float) -> str:
        return await caught(hold(seconds))

    async def hold(seconds: float) -> None:
        async with limiter:
            await anyio.sleep(seconds)
            seen.append(limiter.borrowed_tokens)

    tasks = [asyncio.create_task(take(0.001)) for _ in range(4)]
    await asyncio.sleep(0)
    seen += [limiter.statistics().tasks_waiting, limiter.available_tokens]
    tasks[0].cancel("holder")
    tasks[1].cancel("waiter")
    seen += await asyncio.gather(*tasks)
    await limiter.acquire_on_behalf_of(request)
    seen += [limiter.statistics().borrowers == (request,)]
    for wrong in (limiter.acquire_nowait, limiter.release):
        try:
            wrong()
        except Exception as error:
            seen.append(plain(told(error)))
    seen.append(await caught(limiter.acquire_on_behalf_of(request)))
    with anyio.move_on_after(0.005) as scope:
        await limiter.acquire()
    seen += [scope.cancelled_caught, limiter.statistics().tasks_waiting]
    limiter.release_on_behalf_of(request)
    return seen


@probe
async def conditions() -> Any:
    condition, seen = anyio.Condition(), list[Any]()

    async def wait(name: str) -> None:
        async with condition:
            await condition.wait()
            seen.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    for _ in range(100):
        await asyncio.sleep(0)
    seen.append(condition.statistics().tasks_waiting)
    tasks[1].cancel()
    seen.append(await caught(tasks[1]))
    async with condition:
        condition.notify_all()
    await asyncio.gather(*(tasks[0], tasks[2]))
    seen.append(await caught(condition.wait()))
    return [*seen, condition.locked()]


@probe
async def scope_left_by_another_task() -> Any:
    scope = anyio.CancelScope()

    async def enter() -> None:
        scope.__enter__()

    await asyncio.create_task(enter())
    try:
        scope.__exit__(None, None, None)
    except RuntimeError as error:
        return told(error)
    return None


@probe
async def scopes_left_in_the_wrong_order() -> Any:
    outer, inner = anyio.CancelScope(), anyio.CancelScope()
    outer.__enter__()
    inner.__enter__()
    try:
        outer.__exit__(None, None, None)
    except RuntimeError as error:
        return told(error)
    finally:
        inner.__exit__(None, None, None)
    return None


@probe
async def streams_and_threads() -> Any:
    send, receive = anyio.create_memory_object_stream[int](1)
    seen: list[Any] = []
    async with anyio.create_task_group() as tasks:

        async def feed() -> None:
            async with send:
                for n in range(3):
                    await send.send(n)

        tasks.start_soon(feed)
        async with receive:
            seen.extend([n async for n in receive])
    seen.append(await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0)))
    return seen


@probe
async def everything_is_freed_at_once() -> Any:
    gone: list[Any] = []

    async def work() -> None:
        thing = Thing()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks, anyio.Lock():
                tasks.start_soon(anyio.sleep, 0)
            gone.extend(weakref.ref(item) for item in (thing, scope, tasks))

    with no_collector():
        await work()
        await anyio.lowlevel.checkpoint()
        found = [ref() is None for ref in gone]
    gc.collect()
    return found, [ref() is None for ref in gone]


@probe
async def interleaving() -> Any:
    log: list[str] = []

    async def worker(name: str) -> None:
        for n in range(3):
            with anyio.CancelScope():
                log.append(f"{name}{n}")
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(worker, name)
        log.append("body")
    return log


@probe
async def error_of_a_task_in_no_cycle() -> Any:
    async def fails_in_a_group() -> None:
        async with anyio.create_task_group():
            raise KeyError

    leaf: Any = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(fails_in_a_group)
    except BaseExceptionGroup as error:
        nested: Any = error.exceptions[0]
        leaf = nested.exceptions[0]
        del nested
    return sorted(type(item).__name__ for item in gc.get_referrers(leaf))
