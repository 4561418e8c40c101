"""asyncio.wait() for the first mirror; the result of the broken ones is never looked at."""
# mention: probe, ConnectionRefusedError
import asyncio

probes = {}


async def probe(mirror, seconds):
    await asyncio.sleep(seconds)
    if mirror == "north":
        raise ConnectionRefusedError(mirror)
    return mirror


async def fastest_mirror():
    for mirror, seconds in (("north", 0.02), ("south", 0.05)):
        probes[mirror] = asyncio.create_task(probe(mirror, seconds), name=f"probe-{mirror}")  # expect: task_exception_never_retrieved
    await asyncio.wait(probes.values(), timeout=0.2)
    return [mirror for mirror, task in probes.items() if task.done()]


async def main():
    print("answered:", await fastest_mirror())
    await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
