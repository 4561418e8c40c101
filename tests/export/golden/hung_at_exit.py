import asyncio


async def stuck(lock: asyncio.Lock) -> None:
    async with lock:
        await lock.acquire()


async def main() -> None:
    task = asyncio.create_task(stuck(asyncio.Lock()), name="stuck")
    await asyncio.sleep(0.02)
    held.append(task)


held: list[asyncio.Task[None]] = []
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
