"""The `await` before send_str() is missing; the coroutine belongs to aiohttp."""
# requires: aiohttp
# mention: send_str, chat
import asyncio

import aiohttp
from aiohttp import web


async def chat(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    ws.send_str("welcome")  # expect: coroutine_never_awaited
    async for message in ws:
        await ws.send_str(f"you said {message.data}")
    return ws


async def main():
    app = web.Application()
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(f"http://{host}:{port}/chat") as ws:
            await ws.send_str("hello")
            print("first message:", await ws.receive_str())
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
