"""Threads compute in pure Python while the loop serves."""
# healthy
import asyncio
import time


def crunch(seconds):
    until = time.perf_counter() + seconds
    n = 0
    while time.perf_counter() < until:
        n += 1
    return n > 0


async def tick(stop):
    n = 0
    while not stop.is_set():
        n += sum(range(2000))
        await asyncio.sleep(0)
    return n


async def main():
    stop = asyncio.Event()
    ticker = asyncio.create_task(tick(stop))
    print(all(await asyncio.gather(*(asyncio.to_thread(crunch, 1.5) for _ in range(3)))))
    stop.set()
    await ticker
    print("done")


asyncio.run(main())
