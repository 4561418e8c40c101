"""After the first error the caller cancels and awaits the rest; or there is no rest."""
# healthy
import asyncio

busy = set()


async def download(name):
    await asyncio.sleep(0.02)
    raise OSError(f"{name} not found")


async def resize(name, rounds=6):
    busy.add(name)
    try:
        for _ in range(rounds):
            await asyncio.sleep(0.005)
        if rounds == 6:
            await asyncio.sleep(1)
    finally:
        busy.discard(name)


async def run_pipeline(name):
    stages = [
        asyncio.create_task(download(name), name="download"),
        asyncio.create_task(resize(name), name="resize"),
    ]
    try:
        return await asyncio.gather(*stages)
    except OSError as exc:
        return str(exc)
    finally:
        for stage in stages:
            stage.cancel()
        await asyncio.gather(*stages, return_exceptions=True)


async def siblings_were_quicker(name):
    try:
        await asyncio.gather(resize(name, 1), resize(name, 2), download(name))
    except OSError as exc:
        return str(exc)


async def cancelled_as_a_whole(name):
    try:
        await asyncio.wait_for(asyncio.gather(resize(name), resize(name)), 0.05)
    except TimeoutError:
        return "took too long"


async def main():
    print(await run_pipeline("cat.png"))
    print("resizer still busy:", sorted(busy))
    print(await siblings_were_quicker("dog.png"))
    print(await cancelled_as_a_whole("cow.png"))
    print("later:", sorted(busy))


if __name__ == "__main__":
    asyncio.run(main())
