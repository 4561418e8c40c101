"""A crashing racer aborts the barrier; and a late one is waited for, long but not in vain."""
# healthy
import asyncio


async def race(barrier, name, results, delay=0.01):
    try:
        if name == "blue":
            raise RuntimeError("engine failure")
        await asyncio.sleep(delay)
    except RuntimeError:
        await barrier.abort()
        return
    try:
        async with barrier:
            results.append(name)
    except asyncio.BrokenBarrierError:
        results.append(f"{name} sent home")


async def main():
    barrier, results = asyncio.Barrier(3), []
    await asyncio.gather(*(race(barrier, name, results) for name in ("red", "green", "blue")))
    print(sorted(results))
    barrier, results = asyncio.Barrier(3), []
    await asyncio.gather(race(barrier, "red", results), race(barrier, "green", results),
                         race(barrier, "white", results, 1.3))
    print(sorted(results))


if __name__ == "__main__":
    asyncio.run(main())
