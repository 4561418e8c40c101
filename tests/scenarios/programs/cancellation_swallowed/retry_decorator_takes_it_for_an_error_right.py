"""A retry decorator catches errors only."""
# healthy
import asyncio
import functools


def retried(function):
    @functools.wraps(function)
    async def run(*args):
        for _ in range(12):
            try:
                return await function(*args)
            except Exception:
                await asyncio.sleep(0.1)

    return run


@retried
async def fetch(name):
    await asyncio.sleep(0.1)
    raise OSError(name)


async def main():
    task = asyncio.create_task(fetch("x"), name="fetcher")
    await asyncio.sleep(0.05)
    task.cancel("shutdown")
    await asyncio.wait([task])
    print("ended")


asyncio.run(main())
