"""Prices are paired with volumes; when the shorter feed ends, the longer one is forgotten."""
# mention: feed, pair_up
import asyncio

subscriptions = []


async def feed(name, count):
    subscriptions.append(name)
    try:
        for number in range(count):
            await asyncio.sleep(0.001)
            yield number
    finally:
        subscriptions.remove(name)


async def pair_up():
    pairs, volumes = [], feed("volumes", 6)
    async for price in feed("prices", 3):
        pairs.append((price, await anext(volumes)))  # expect: async_generator_not_closed
    return pairs, volumes


async def main():
    pairs, volumes = await pair_up()
    print(pairs)
    await asyncio.sleep(0.02)
    print("still subscribed:", subscriptions)


if __name__ == "__main__":
    asyncio.run(main())
