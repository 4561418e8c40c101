"""`continue` in a finally block: the consumer cannot be stopped while there is work."""
# mention: consume
import asyncio


async def store(item, stored):
    await asyncio.sleep(0.1)
    stored.append(item)


async def consume(queue, stored):
    while True:
        item = queue.get_nowait()
        if item is None:
            return
        try:  # expect: cancellation_swallowed
            await store(item, stored)  # expect: cancellation_swallowed
        finally:  # expect: cancellation_swallowed
            queue.task_done()  # expect: cancellation_swallowed
            continue  # expect: cancellation_swallowed


async def main():
    queue, stored = asyncio.Queue(), []
    for item in [*range(8), None]:
        queue.put_nowait(item)
    consumer = asyncio.create_task(consume(queue, stored), name="consumer")
    await asyncio.sleep(0.15)
    consumer.cancel()
    await asyncio.wait([consumer])
    print("cancelled:", consumer.cancelled(), "stored:", stored)


if __name__ == "__main__":
    asyncio.run(main())
