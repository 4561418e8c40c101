"""A crawler with two permits loses one for each page that fails to load."""
# mention: crawl
import asyncio


class Crawler:
    def __init__(self):
        self.permits = asyncio.Semaphore(2)

    async def crawl(self, page):
        await self.permits.acquire()  # expect: lock_held_at_task_end
        await asyncio.sleep(0.01)
        if "broken" in page:
            raise ValueError(f"cannot parse {page}")
        self.permits.release()
        return page


async def main():
    crawler = Crawler()
    pages = ["index", "broken-1", "about", "broken-2", "contact"]
    jobs = [asyncio.create_task(crawler.crawl(page), name=f"crawl-{page}") for page in pages]
    done, pending = await asyncio.wait(jobs, timeout=0.5)
    print("crawled:", sorted(job.result() for job in done if not job.exception()))
    print("never crawled:", sorted(job.get_name() for job in pending))
    for job in pending:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
