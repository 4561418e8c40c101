"""Both feeds are closed by an exit stack, whichever ends first; a consumer may be cancelled."""
# healthy
import asyncio
from contextlib import AsyncExitStack, aclosing

subscriptions = []


async def feed(name, count):
    subscriptions.append(name)
    try:
        for number in range(count):
            await asyncio.sleep(0.001)
            yield number
    finally:
        subscriptions.remove(name)


async def pair_up(prices, volumes):
    pairs = []
    async with AsyncExitStack() as stack:
        left = await stack.enter_async_context(aclosing(feed("prices", prices)))
        right = await stack.enter_async_context(aclosing(feed("volumes", volumes)))
        async for price in left:
            volume = await anext(right, None)
            if volume is None:
                break
            pairs.append((price, volume))
    return pairs


async def watch(seen):
    async for number in feed("watched", 10_000):
        seen.append(number)


async def main():
    print(await pair_up(3, 6), await pair_up(6, 3))
    seen = []
    watcher = asyncio.create_task(watch(seen), name="watcher")
    await asyncio.sleep(0.03)
    watcher.cancel()
    await asyncio.wait([watcher])
    print("still subscribed:", subscriptions, "seen some:", len(seen) > 1)


if __name__ == "__main__":
    asyncio.run(main())
