"""A bad job is counted as done; idle workers wait long for more and are then cancelled."""
# healthy
import asyncio


async def work(queue, done):
    while True:
        job = await queue.get()
        try:
            await asyncio.sleep(0.12)
            done.append(100 // job)
        except ZeroDivisionError:
            done.append(None)
        finally:
            queue.task_done()


async def process_all(jobs, done):
    queue = asyncio.Queue()
    worker = asyncio.create_task(work(queue, done), name="worker")
    for job in jobs:
        queue.put_nowait(job)
    async with asyncio.timeout(5):
        await queue.join()
    print("all processed:", done)
    await asyncio.sleep(1.2)
    worker.cancel()
    await asyncio.wait([worker])


async def main():
    await process_all([1, 2, 0, 4, 5, 6, 7, 8, 9, 10], [])


if __name__ == "__main__":
    asyncio.run(main())
