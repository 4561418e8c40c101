"""Task groups of ten children that give way once."""

import asyncio

import anyio

CHILDREN = 10


async def child(number: int, results: list[int]) -> None:
    await asyncio.sleep(0)
    results.append(number)


async def task_group(count: int) -> int:
    total = 0
    for _ in range(count):
        results: list[int] = []
        async with asyncio.TaskGroup() as group:
            for number in range(CHILDREN):
                group.create_task(child(number, results))
        total += sum(results)
    return total


async def anyio_group(count: int) -> int:
    total = 0
    for _ in range(count):
        results: list[int] = []
        async with anyio.create_task_group() as group:
            for number in range(CHILDREN):
                group.start_soon(child, number, results)
        total += sum(results)
    return total
