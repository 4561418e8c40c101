import asyncio


async def fetch(number: int) -> int:
    await asyncio.sleep(0.001)
    return number


async def main() -> None:
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(fetch(number), name=f"fetch {number}")


asyncio.run(main())
