"""A crawler follows the links of a local aiohttp site of 60 pages.

Workers share a queue and a set of seen links, pages time out and are retried, some are
missing, and at the end idle workers are cancelled.
"""
# healthy
# requires: aiohttp
import asyncio
import re

import aiohttp
from aiohttp import web

PAGES = 60
attempts = {}


async def page(request):
    number = int(request.match_info["number"])
    attempts[number] = attempts.get(number, 0) + 1
    if number % 19 == 5:
        raise web.HTTPNotFound
    if number % 11 == 3 and attempts[number] == 1:
        await asyncio.sleep(5)
    await asyncio.sleep(0.003)
    links = "".join(f'<a href="/page/{n}">' for n in (2 * number, 2 * number + 1) if n < PAGES)
    return web.Response(text=f"<html>{links}</html>", content_type="text/html")


class Crawler:
    def __init__(self, client, base):
        self.client = client
        self.base = base
        self.queue = asyncio.Queue()
        self.seen = set()
        self.lock = asyncio.Lock()
        self.politeness = asyncio.BoundedSemaphore(6)
        self.results = {}

    async def add(self, path):
        async with self.lock:
            if path not in self.seen:
                self.seen.add(path)
                await self.queue.put(path)

    async def fetch(self, path):
        for _ in range(3):
            try:
                async with self.politeness, asyncio.timeout(0.2):
                    async with self.client.get(self.base + path) as response:
                        return response.status, await response.text()
            except TimeoutError:
                continue
        return 0, ""

    async def work(self):
        while True:
            path = await self.queue.get()
            try:
                status, text = await self.fetch(path)
                self.results[path] = status
                for link in re.findall(r'href="(.*?)"', text):
                    await self.add(link)
            finally:
                self.queue.task_done()

    async def crawl(self, start):
        await self.add(start)
        workers = [asyncio.create_task(self.work(), name=f"crawler-{n}") for n in range(10)]
        await self.queue.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return sorted(self.results.values())


async def main():
    app = web.Application()
    app.router.add_get("/page/{number}", page)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession() as client:
        statuses = await Crawler(client, f"http://{host}:{port}").crawl("/page/1")
    await runner.cleanup()
    print({status: statuses.count(status) for status in set(statuses)})


if __name__ == "__main__":
    asyncio.run(main())
