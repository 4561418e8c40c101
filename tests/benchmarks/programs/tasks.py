"""Short tasks, created a hundred at a time and gathered."""

import asyncio

BATCH = 100


async def at_once(number: int) -> int:
    return number % 7


async def one_step(number: int) -> int:
    await asyncio.sleep(0)
    return number % 7


async def storm(count: int) -> int:
    total = 0
    for _ in range(count // BATCH):
        total += sum(await asyncio.gather(*[asyncio.create_task(at_once(i)) for i in range(BATCH)]))
    return total


async def storm_of_steps(count: int) -> int:
    total = 0
    for _ in range(count // BATCH):
        batch = [asyncio.create_task(one_step(i)) for i in range(BATCH)]
        total += sum(await asyncio.gather(*batch))
    return total
