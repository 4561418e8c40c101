import asyncio


async def use(lock: asyncio.Lock) -> None:
    async with lock:
        await asyncio.sleep(0.01)


async def main() -> None:
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(use(lock), name="first")
        group.create_task(use(lock), name="second")


asyncio.run(main())
