"""One lock for each document, and one for the counter, which is held for a moment only."""
# healthy
# requires: aiohttp
import asyncio
from collections import defaultdict

import aiohttp
from aiohttp import web

saving = web.AppKey("saving", defaultdict)
counter = web.AppKey("counter", dict)


async def write_to_disk(name):
    await asyncio.sleep(0.22)


async def save_document(request):
    name = request.match_info["name"]
    async with request.app[saving][name]:
        await write_to_disk(name)
    async with request.app[counter]["lock"]:
        await asyncio.sleep(0.002)
        request.app[counter]["saved"] += 1
    return web.Response(text="saved")


async def save(client, url):
    async with client.put(url) as response:
        return await response.text()


async def main():
    app = web.Application()
    app[saving] = defaultdict(asyncio.Lock)
    app[counter] = {"lock": asyncio.Lock(), "saved": 0}
    app.router.add_put("/documents/{name}", save_document)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    started = asyncio.get_running_loop().time()
    async with aiohttp.ClientSession() as client:
        urls = [f"http://{host}:{port}/documents/{number // 2}" for number in range(16)]
        answers = await asyncio.gather(*(save(client, url) for url in urls))
    await runner.cleanup()
    took = asyncio.get_running_loop().time() - started
    print(len(answers), app[counter]["saved"], "slower than 1.5 s:", took > 1.5)


if __name__ == "__main__":
    asyncio.run(main())
