"""wait_for() gives a server 0.2 s; the exit stack of the server takes its time."""
# mention: close_connections
import asyncio
from contextlib import AsyncExitStack


async def close_connections(count):
    for _ in range(count):
        await asyncio.sleep(0.3)  # expect: cancellation_slow


async def serve():
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_connections, 5)
        await asyncio.Event().wait()  # expect: cancellation_slow


async def main():
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        await asyncio.wait_for(serve(), timeout=0.2)
    except TimeoutError:
        print("timed out, more than a second late:", loop.time() - started > 1.2)


if __name__ == "__main__":
    asyncio.run(main())
