"""Tokens of scans that were cancelled are given back by others, in every way there is."""
# healthy
# requires: anyio
import asyncio
import math

import anyio
import anyio.to_thread

SERVICE = {}


async def scan(slots, folder, seconds, log):
    async with slots:
        await anyio.sleep(seconds)
        log.append(folder)


async def careless(slots, seconds):
    await slots.acquire()
    await anyio.sleep(seconds)


async def main():
    slots, log = SERVICE.setdefault("slots", anyio.CapacityLimiter(2)), []
    uncounted = SERVICE.setdefault("uncounted", anyio.CapacityLimiter(math.inf))
    with anyio.move_on_after(0.1):
        async with anyio.create_task_group() as group:
            group.start_soon(scan, slots, "/large", 5, log, name="scan-large")
            group.start_soon(scan, slots, "/small", 0.01, log, name="scan-small")
            group.start_soon(careless, uncounted, 0.01, name="scan-uncounted")
    task = asyncio.create_task(careless(slots, 0.01), name="scan-careless")
    await asyncio.wait([task])
    slots.release_on_behalf_of(task)
    await anyio.to_thread.run_sync(log.append, "/thread", limiter=slots)
    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(scan, slots, f"/{number}", 0.01, log)
    print("scanned:", sorted(log), "tokens left:", slots.available_tokens)


if __name__ == "__main__":
    anyio.run(main)
