"""Timers that cancel, nested deadlines, groups under locks given back in time."""
# healthy
import asyncio
import contextlib


async def listen(log):
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.01)
        log.append("closed")


async def step(lock, n):
    async with lock:
        await asyncio.sleep(0.01)
        return n


async def deadlines():
    seen = []
    for n in range(5):
        try:
            async with asyncio.timeout(0.05):
                async with asyncio.timeout(10 if n % 2 else 0.02):
                    await asyncio.sleep(1)
        except TimeoutError:
            seen.append(n)
    return seen


async def shielded():
    inner = asyncio.create_task(asyncio.sleep(0.3, "kept"))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.05)
    return await inner


async def main():
    log, lock = [], asyncio.Lock()
    task = asyncio.create_task(listen(log))
    asyncio.get_running_loop().call_later(0.1, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with asyncio.TaskGroup() as group:
        async with lock:
            tasks = [group.create_task(step(lock, n)) for n in range(20)]
            await asyncio.sleep(0.3)
    print(log, sum(t.result() for t in tasks), await deadlines(), await shielded())
    pending = {asyncio.create_task(asyncio.sleep(0.2 * n)) for n in range(1, 5)}
    while pending:
        done, pending = await asyncio.wait(pending, timeout=0.1)
    current = asyncio.current_task()
    asyncio.get_running_loop().call_later(0.02, current.cancel)
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        current.uncancel()
    print("over")


asyncio.run(main())
