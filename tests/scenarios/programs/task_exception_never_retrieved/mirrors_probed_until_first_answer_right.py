"""Every finished probe is asked for its exception, in one of the ways that count."""
# healthy
import asyncio

probes = {}


async def probe(mirror, seconds):
    await asyncio.sleep(seconds)
    if mirror in ("north", "east"):
        raise ConnectionRefusedError(mirror)
    return mirror


async def fastest_mirror():
    for mirror, seconds in (("north", 0.02), ("south", 0.05), ("west", 5)):
        probes[mirror] = asyncio.create_task(probe(mirror, seconds), name=f"probe-{mirror}")
    done, pending = await asyncio.wait(probes.values(), timeout=0.2)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return sorted(task.result() for task in done if task.exception() is None)


async def main():
    print("answered:", await fastest_mirror())
    late = asyncio.create_task(probe("east", 0.01), name="late")
    await asyncio.sleep(0.05)
    try:
        await late
    except ConnectionRefusedError:
        print("east refused")
    for finished in asyncio.as_completed([probe("north", 0.01), probe("south", 0.02)]):
        try:
            print(await finished)
        except ConnectionRefusedError as exc:
            print(exc, "refused")
    shared = asyncio.gather(probe("east", 0.01), probe("south", 0.01), return_exceptions=True)
    print([type(result).__name__ for result in await shared])


if __name__ == "__main__":
    asyncio.run(main())
