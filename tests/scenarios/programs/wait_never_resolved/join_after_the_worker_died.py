"""The only worker dies of a bad job before task_done(); join() waits for nobody."""
# mention: process_all
import asyncio


async def work(queue, done):
    while True:
        job = await queue.get()
        done.append(100 // job)
        queue.task_done()


async def process_all(jobs, done):
    queue = asyncio.Queue()
    worker = asyncio.create_task(work(queue, done), name="worker")
    for job in jobs:
        queue.put_nowait(job)
    try:
        async with asyncio.timeout(1.4):
            await queue.join()  # expect: wait_never_resolved
        print("all processed")
    except TimeoutError:
        print("gave up, worker finished:", worker.done(), "processed:", done)
    await asyncio.gather(worker, return_exceptions=True)


async def main():
    await process_all([1, 2, 0, 4], [])


if __name__ == "__main__":
    asyncio.run(main())
