"""Permits are taken by one task and given back by others, but they are given back."""
# healthy
import asyncio


class Crawler:
    def __init__(self):
        self.permits = asyncio.Semaphore(2)

    async def load(self, page):
        await asyncio.sleep(0.01)
        if "broken" in page:
            raise ValueError(f"cannot parse {page}")
        return page

    async def start(self, page):
        await self.permits.acquire()
        job = asyncio.create_task(self.load(page), name=f"crawl-{page}")
        job.add_done_callback(lambda _: self.permits.release())
        return job

    async def reserve(self):
        await self.permits.acquire()


async def main():
    crawler = Crawler()
    pages = ["index", "broken-1", "about", "broken-2", "contact"]
    jobs = [await crawler.start(page) for page in pages]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    print("crawled:", [result for result in results if isinstance(result, str)])
    await asyncio.create_task(crawler.reserve(), name="reservation")
    await asyncio.sleep(0.02)
    crawler.permits.release()
    async with crawler.permits, crawler.permits:
        print("all permits are back")


if __name__ == "__main__":
    asyncio.run(main())
