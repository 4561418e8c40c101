"""The watchdog cancels the reader, which leaves the stream; closing it then is harmless."""
# healthy
import asyncio


async def events(queue):
    while True:
        yield await queue.get()


async def read(stream, seen):
    async for event in stream:
        seen.append(event)


async def guard(reader, stream):
    await asyncio.sleep(0.05)
    reader.cancel()
    await asyncio.wait([reader])
    await stream.aclose()
    print("closed")


async def main():
    queue, seen = asyncio.Queue(), []
    stream = events(queue)
    queue.put_nowait("a")
    reader = asyncio.create_task(read(stream, seen), name="reader")
    await asyncio.create_task(guard(reader, stream), name="watchdog")
    print(seen)


if __name__ == "__main__":
    asyncio.run(main())
