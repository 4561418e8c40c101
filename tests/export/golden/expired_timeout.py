import asyncio
from contextlib import suppress


async def query() -> None:
    async with asyncio.timeout(0.02):
        await asyncio.sleep(10)


async def main() -> None:
    with suppress(TimeoutError):
        await asyncio.create_task(query(), name="query")


asyncio.run(main())
