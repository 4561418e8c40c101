"""Connections are closed together and quickly; only a normal end may take its time."""
# healthy
import asyncio
from contextlib import AsyncExitStack


async def close_connection():
    await asyncio.sleep(0.03)


async def serve():
    async with AsyncExitStack() as stack:
        stack.push_async_callback(
            lambda: asyncio.gather(*(close_connection() for _ in range(5))))
        await asyncio.Event().wait()


async def drain_slowly():
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.sleep, 1.2)
        await asyncio.sleep(0.01)


async def main():
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        await asyncio.wait_for(serve(), timeout=0.2)
    except TimeoutError:
        print("timed out, more than a second late:", loop.time() - started > 1.2)
    await asyncio.wait_for(drain_slowly(), timeout=5)
    print("drained")


if __name__ == "__main__":
    asyncio.run(main())
