"""Greetings are awaited, gathered or wrapped in tasks; nothing is left over."""
# healthy
# requires: aiohttp
import asyncio

import aiohttp
from aiohttp import web


async def chat(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    greetings = [ws.send_str(text) for text in ("welcome", "to the chat")]
    for greeting in greetings:
        await greeting
    await asyncio.create_task(ws.send_str("have fun"))
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
            print([await ws.receive_str() for _ in range(4)])
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
