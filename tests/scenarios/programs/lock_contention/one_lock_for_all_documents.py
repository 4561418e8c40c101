"""An aiohttp editor saves documents one after another, though they have nothing in common."""
# requires: aiohttp
# mention: save_document
import asyncio

import aiohttp
from aiohttp import web

saving = web.AppKey("saving", asyncio.Lock)


async def write_to_disk(name):
    await asyncio.sleep(0.22)


async def save_document(request):
    async with request.app[saving]:  # expect: lock_contention
        await write_to_disk(request.match_info["name"])  # expect: lock_contention
    return web.Response(text="saved")


async def save(client, url):
    async with client.put(url) as response:
        return await response.text()


async def main():
    app = web.Application()
    app[saving] = asyncio.Lock()
    app.router.add_put("/documents/{name}", save_document)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    started = asyncio.get_running_loop().time()
    async with aiohttp.ClientSession() as client:
        urls = [f"http://{host}:{port}/documents/{number}" for number in range(8)]
        answers = await asyncio.gather(*(save(client, url) for url in urls))
    await runner.cleanup()
    took = asyncio.get_running_loop().time() - started
    print(len(answers), set(answers), "slower than 1.5 s:", took > 1.5)


if __name__ == "__main__":
    asyncio.run(main())
