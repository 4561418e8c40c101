"""Whether one event costs more beside many live tasks, deep down, or inside many scopes.

What stands around the measured region is made by the first call, which warms up, and lasts until
the loop ends.
"""

import asyncio
import contextlib

import anyio

from .tasks import storm

_waiting: list[asyncio.Task[None]] = []


async def _wait() -> None:
    # each its own future: one event would search its waiters for each that is cancelled at the end
    await asyncio.get_running_loop().create_future()


async def _storm_beside(live: int, count: int) -> int:
    if not _waiting or _waiting[0].done():
        _waiting[:] = [asyncio.create_task(_wait()) for _ in range(live)]
        await asyncio.sleep(0)
    return await storm(count)


async def beside_0_tasks(count: int) -> int:
    return await storm(count)


async def beside_1000_tasks(count: int) -> int:
    return await _storm_beside(1_000, count)


async def beside_100000_tasks(count: int) -> int:
    return await _storm_beside(100_000, count)


async def _deep(depth: int, count: int) -> int:
    if depth > 1:
        return await _deep(depth - 1, count)
    lock, total = asyncio.Lock(), 0
    for _ in range(count):
        async with lock:
            total += 1
    return total


async def lock_at_depth_1(count: int) -> int:
    return await _deep(1, count)


async def lock_at_depth_10(count: int) -> int:
    return await _deep(10, count)


async def lock_at_depth_200(count: int) -> int:
    return await _deep(200, count)


async def _inside(scopes: int, count: int) -> int:
    entered = 0
    with contextlib.ExitStack() as stack:
        for _ in range(scopes):
            stack.enter_context(anyio.CancelScope())
        for _ in range(count):
            with anyio.CancelScope():  # noqa: ASYNC100 - entering is what is measured
                entered += 1
    return entered


async def inside_1_scope(count: int) -> int:
    return await _inside(1, count)


async def inside_100_scopes(count: int) -> int:
    return await _inside(100, count)


async def _paced(rate: int, count: int) -> int:
    """Create tasks at a rate a second, in bursts each ten milliseconds."""
    loop = asyncio.get_running_loop()
    burst = max(rate // 100, 1)
    due, done = loop.time(), 0
    while done < count:
        await asyncio.gather(*[asyncio.create_task(asyncio.sleep(0)) for _ in range(burst)])
        done += burst
        due += burst / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
    return done


async def idle(count: int) -> int:
    """Sleep for so many milliseconds."""
    await asyncio.sleep(count / 1000)
    return 0


async def rate_100(count: int) -> int:
    return await _paced(100, count)


async def rate_1000(count: int) -> int:
    return await _paced(1_000, count)


async def rate_10000(count: int) -> int:
    return await _paced(10_000, count)
