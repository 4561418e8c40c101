import asyncio
import time


async def compute() -> None:
    await asyncio.sleep(0.2)
    time.sleep(1.5)
    await asyncio.sleep(0.2)


async def main() -> None:
    await asyncio.create_task(compute(), name="computing")


asyncio.run(main())
