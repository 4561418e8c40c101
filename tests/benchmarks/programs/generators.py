"""Asynchronous generators: read to the end, closed half-way, dropped half-way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

ITEMS = 10
ENOUGH = 2


async def numbers() -> AsyncGenerator[int, None]:
    for number in range(ITEMS):
        yield number


async def iterated(count: int) -> int:
    total = 0
    for _ in range(count):
        async for number in numbers():
            total += number
    return total


async def left_early(count: int) -> int:
    total = 0
    for _ in range(count):
        async with aclosing(numbers()) as items:
            async for number in items:
                total += number
                if number == ENOUGH:
                    break
    return total


async def abandoned(count: int) -> list[int]:
    """Leave generators to the collector; the loop has to close every one of them."""
    total = closed = 0

    async def with_cleanup() -> AsyncGenerator[int, None]:
        nonlocal closed
        try:
            for number in range(ITEMS):
                yield number
        finally:
            closed += 1

    for round_ in range(count):
        async for number in with_cleanup():
            total += number
            if number == ENOUGH:
                break
        if round_ % 50 == 0:
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    return [total, closed]
