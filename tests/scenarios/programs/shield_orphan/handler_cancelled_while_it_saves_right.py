"""The application keeps the saves and awaits them on shutdown; or the handler awaits its own."""
# healthy
# requires: aiohttp, anyio
import asyncio

import anyio
from aiohttp import web

saved = []
saves = web.AppKey("saves", set)


async def save_file(name):
    await asyncio.sleep(0.2)
    saved.append(name)


async def upload(request):
    save = asyncio.create_task(save_file(request.match_info["name"]), name="save")
    request.app[saves].add(save)
    save.add_done_callback(request.app[saves].discard)
    await asyncio.shield(save)
    return web.Response(text="saved")


async def save_in_scope(name):
    with anyio.move_on_after(0.05):
        with anyio.CancelScope(shield=True):
            await save_file(name)


async def upload_and_wait(request):
    save = asyncio.create_task(save_file(request.match_info["name"]), name="save")
    try:
        await asyncio.shield(save)
    finally:
        await asyncio.wait([save])
    return web.Response(text="saved")


async def finish_saves(app):
    await asyncio.gather(*app[saves])


async def main():
    app = web.Application()
    app[saves] = set()
    app.on_shutdown.append(finish_saves)
    for path, handler in (("a", upload), ("c", upload_and_wait)):
        app.router.add_get(f"/{path}/{{name}}", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    for path in "ac":
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET /{path}/{path}.txt HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
    await asyncio.sleep(0.02)
    await runner.cleanup()
    await save_in_scope("b.txt")
    print("saved:", sorted(saved))


if __name__ == "__main__":
    asyncio.run(main())
