"""Three racers are expected at the barrier, one of them crashes on the way."""
# mention: race
import asyncio


async def race(barrier, name, results):
    if name == "blue":
        raise RuntimeError("engine failure")
    await asyncio.sleep(0.01)
    async with barrier:  # expect: wait_never_resolved
        results.append(name)


async def main():
    barrier, results = asyncio.Barrier(3), []
    racers = [asyncio.create_task(race(barrier, name, results), name=f"racer-{name}")
              for name in ("red", "green", "blue")]
    done, pending = await asyncio.wait(racers, timeout=1.4)
    print("crashed:", [type(racer.exception()).__name__ for racer in done])
    print("still at the barrier:", barrier.n_waiting, "started:", results)
    for racer in pending:
        racer.cancel()
    await asyncio.gather(*racers, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
