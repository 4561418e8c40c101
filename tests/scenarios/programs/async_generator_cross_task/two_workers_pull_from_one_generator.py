"""Two workers iterate the same generator; one asks for the next job while the other is inside."""
# mention: jobs, work
import asyncio


async def jobs():
    for number in range(6):
        await asyncio.sleep(0.02)
        yield number


async def work(source, done):
    async for job in source:  # expect: async_generator_cross_task
        await asyncio.sleep(0.01)
        done.append(job)
    return "all done"


async def main():
    source, done = jobs(), []
    workers = [asyncio.create_task(work(source, done), name=f"worker-{n}") for n in range(2)]
    results = await asyncio.gather(*workers, return_exceptions=True)
    print([r if isinstance(r, str) else type(r).__name__ for r in results], done)


if __name__ == "__main__":
    asyncio.run(main())
