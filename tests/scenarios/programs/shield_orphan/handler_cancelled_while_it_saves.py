"""aiohttp cancels a handler whose client has gone; the shielded save has lost its owner."""
# requires: aiohttp
# mention: upload, save_file
import asyncio

from aiohttp import web

saved = []


async def save_file(name):
    await asyncio.sleep(0.3)
    saved.append(name)


async def upload(request):
    await asyncio.shield(save_file(request.match_info["name"]))  # expect: shield_orphan
    return web.Response(text="saved")


async def main():
    app = web.Application()
    app.router.add_get("/upload/{name}", upload)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /upload/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    print("client has gone, saved:", saved)
    await asyncio.sleep(0.4)
    print("saved:", saved)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
