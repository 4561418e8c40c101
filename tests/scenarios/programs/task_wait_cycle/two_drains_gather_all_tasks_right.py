"""A long chain: each helper waits for all that were started before it."""
# healthy
import asyncio

stopped = []


async def drain(name, before):
    await asyncio.sleep(0.02)
    await asyncio.gather(*before)
    if before:
        await asyncio.shield(before[0])
        await asyncio.wait(before)
    stopped.append(name)


async def shut_down():
    drains = []
    for number in range(12):
        drains.append(asyncio.create_task(drain(number, drains[:]), name=f"drain-{number}"))
    done, pending = await asyncio.wait(drains, timeout=1.2)
    print("stopped:", stopped, "hanging:", len(pending))


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(shut_down())
    loop.close()
