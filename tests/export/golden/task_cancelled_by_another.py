import asyncio


async def poll() -> None:
    await asyncio.sleep(10)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()


async def main() -> None:
    polling = asyncio.create_task(poll(), name="polling")
    await asyncio.sleep(0)
    await asyncio.create_task(stop(polling), name="stopping")
    await asyncio.wait([polling])


asyncio.run(main())
