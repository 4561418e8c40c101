"""Locks, semaphores and queues, free and contended."""

import asyncio

import anyio

WORKERS = 10


async def lock_free(count: int) -> int:
    lock, held = asyncio.Lock(), 0
    for _ in range(count):
        async with lock:
            held += 1
    return held


async def lock_contended(count: int) -> int:
    lock, held = asyncio.Lock(), 0

    async def worker() -> None:
        nonlocal held
        for _ in range(count // WORKERS):
            async with lock:
                held += 1
                await asyncio.sleep(0)

    await asyncio.gather(*[asyncio.create_task(worker()) for _ in range(WORKERS)])
    return held


async def semaphore(count: int) -> int:
    slots, held = asyncio.Semaphore(5), 0
    for _ in range(count):
        async with slots:
            held += 1
    return held


async def queue(count: int) -> int:
    """Send each number through two queues of one place, there and back."""
    there: asyncio.Queue[int] = asyncio.Queue(1)
    back: asyncio.Queue[int] = asyncio.Queue(1)

    async def answer() -> None:
        for _ in range(count):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    total = 0
    for number in range(count):
        await there.put(number)
        total += await back.get()
    await answering
    return total


async def anyio_lock(count: int) -> int:
    lock, held = anyio.Lock(), 0
    for _ in range(count):
        async with lock:
            held += 1
    return held
