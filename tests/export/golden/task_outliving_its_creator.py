import asyncio


async def write_log() -> None:
    await asyncio.sleep(0.05)


async def handle() -> asyncio.Task[None]:
    return asyncio.create_task(write_log(), name="log")


async def main() -> None:
    log = await asyncio.create_task(handle(), name="request")
    await log


asyncio.run(main())
