"""Module-level objects which never have to wait in two loops; and one Runner for both runs."""
# healthy
import asyncio

ready = asyncio.Event()
results = asyncio.Queue()
slots = asyncio.Semaphore(5)


async def wait_until_ready(name):
    async with slots:
        await ready.wait()
        results.put_nowait(f"{name} goes")


async def start(names, wait_first):
    waiters = [asyncio.create_task(wait_until_ready(name), name=name) for name in names]
    if wait_first:
        await asyncio.sleep(0.01)
    ready.set()
    await asyncio.gather(*waiters)
    return [await results.get() for _ in names]


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        for names in (["anna", "bert"], ["cleo", "dora"]):
            print(runner.run(start(names, wait_first=True)))
            ready.clear()
    print(asyncio.run(start(["emil", "fred"], wait_first=False)))
