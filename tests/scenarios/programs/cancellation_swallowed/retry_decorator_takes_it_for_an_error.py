"""A retry decorator catches BaseException and tries again."""
# mention: fetch
import asyncio
import functools


def retried(function):
    @functools.wraps(function)
    async def run(*args):
        for _ in range(12):
            try:
                return await function(*args)  # expect: cancellation_swallowed
            except BaseException:  # expect: cancellation_swallowed
                await asyncio.sleep(0.1)

    return run


@retried
async def fetch(name):
    await asyncio.sleep(0.1)  # expect: cancellation_swallowed
    raise OSError(name)


async def main():
    task = asyncio.create_task(fetch("x"), name="fetcher")
    await asyncio.sleep(0.05)
    task.cancel("shutdown")
    await asyncio.wait([task])
    print("ended")


asyncio.run(main())
