"""The finally block only counts; the consumer ends at once, and ends once more by choice."""
# healthy
import asyncio


async def store(item, stored):
    await asyncio.sleep(0.1)
    stored.append(item)


async def consume(queue, stored):
    while True:
        item = queue.get_nowait()
        try:
            await store(item, stored)
        except ValueError:
            continue
        finally:
            queue.task_done()


async def consume_until_told(queue, stored):
    try:
        await consume(queue, stored)
    except asyncio.CancelledError:
        stored.append("told to stop")


async def main():
    for consumer_function in (consume, consume_until_told):
        queue, stored = asyncio.Queue(), []
        for item in range(8):
            queue.put_nowait(item)
        consumer = asyncio.create_task(consumer_function(queue, stored), name="consumer")
        await asyncio.sleep(0.15)
        consumer.cancel()
        await asyncio.wait([consumer])
        print("cancelled:", consumer.cancelled(), "stored:", stored)


if __name__ == "__main__":
    asyncio.run(main())
