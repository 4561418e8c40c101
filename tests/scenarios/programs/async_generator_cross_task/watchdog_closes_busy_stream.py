"""A watchdog calls aclose() on a stream in which a reader is waiting."""
# mention: events, guard
import asyncio
from contextlib import suppress


async def events(queue):
    while True:
        yield await queue.get()


async def read(stream, seen):
    async for event in stream:
        seen.append(event)


async def guard(stream):
    await asyncio.sleep(0.05)
    try:
        await stream.aclose()  # expect: async_generator_cross_task
        print("closed")
    except RuntimeError as exc:
        print("refused:", exc)


async def main():
    queue, seen = asyncio.Queue(), []
    stream = events(queue)
    queue.put_nowait("a")
    reader = asyncio.create_task(read(stream, seen), name="reader")
    await asyncio.create_task(guard(stream), name="watchdog")
    reader.cancel()
    with suppress(asyncio.CancelledError):
        await reader
    print(seen)


if __name__ == "__main__":
    asyncio.run(main())
