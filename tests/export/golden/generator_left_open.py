import asyncio
import gc
from collections.abc import AsyncIterator


async def rows() -> AsyncIterator[int]:
    for number in range(10):
        await asyncio.sleep(0)
        yield number


async def first() -> int:
    async for row in rows():
        return row
    return -1


async def main() -> None:
    await asyncio.create_task(first(), name="reader")
    gc.collect()
    await asyncio.sleep(0.01)


asyncio.run(main())
