"""A module-level Event is waited for in one run and again in the next."""
# mention: wait_until_ready, ready
import asyncio

ready = asyncio.Event()


async def wait_until_ready(name):
    await ready.wait()  # expect: wrong_event_loop
    return f"{name} goes"


async def start(names):
    waiters = [asyncio.create_task(wait_until_ready(name), name=name) for name in names]
    await asyncio.sleep(0.01)
    ready.set()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    ready.clear()
    return [result if isinstance(result, str) else type(result).__name__ for result in results]


if __name__ == "__main__":
    print(asyncio.run(start(["anna", "bert"])))
    print(asyncio.run(start(["cleo", "dora"])))
