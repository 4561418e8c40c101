"""What needs no record: deep chains of awaits, and a task that gives way again and again."""

import asyncio

DEPTH = 20


async def chain(depth: int) -> int:
    if depth == 0:
        await asyncio.sleep(0)
        return 0
    return 1 + await chain(depth - 1)


async def deep_await(count: int) -> int:
    total = 0
    for _ in range(count):
        total += await chain(DEPTH)
    return total


async def sleep0(count: int) -> int:
    for _ in range(count):
        await asyncio.sleep(0)
    return count
