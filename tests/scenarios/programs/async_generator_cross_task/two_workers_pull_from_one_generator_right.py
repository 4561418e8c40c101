"""Workers take turns under a lock: never two inside, and nothing bound to a task in there."""
# healthy
import asyncio


async def jobs():
    for number in range(6):
        await asyncio.sleep(0.005)
        yield number


async def work(source, turn, done):
    while True:
        async with turn:
            job = await anext(source, None)
        if job is None:
            return "all done"
        await asyncio.sleep(0.005)
        done.append(job)


async def finish(source):
    await source.aclose()


async def main():
    source, turn, done = jobs(), asyncio.Lock(), []
    workers = [asyncio.create_task(work(source, turn, done), name=f"worker-{n}") for n in range(3)]
    print(await asyncio.gather(*workers), sorted(done))
    handed_over = jobs()
    await anext(handed_over)
    await asyncio.create_task(finish(handed_over), name="finisher")
    print("closed elsewhere, holds nothing")


if __name__ == "__main__":
    asyncio.run(main())
