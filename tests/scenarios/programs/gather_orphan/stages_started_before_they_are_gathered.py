"""Tasks are made first and gathered later; one stage fails, the next run meets the old stages."""
# mention: resize, run_pipeline
import asyncio

busy = set()


async def download(name):
    await asyncio.sleep(0.02)
    raise OSError(f"{name} not found")


async def resize(name):
    for _ in range(6):
        busy.add(name)
        await asyncio.sleep(0.05)
    busy.discard(name)


async def run_pipeline(name):
    stages = [
        asyncio.create_task(download(name), name="download"),
        asyncio.create_task(resize(name), name="resize"),
    ]
    try:
        return await asyncio.gather(*stages)  # expect: gather_orphan
    except OSError as exc:
        return str(exc)


async def main():
    print(await run_pipeline("cat.png"))
    print("resizer still busy:", sorted(busy))
    await asyncio.sleep(0.4)
    print("later:", sorted(busy))


if __name__ == "__main__":
    asyncio.run(main())
