"""The feed lives in a task of its own; requests only talk to it."""
# healthy
# requires: starlette, httpx, anyio
import asyncio
import contextlib

import anyio
import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

feed = {}


async def follow_prices():
    while True:
        await anyio.sleep(0.01)


async def own_feed(ready):
    async with anyio.create_task_group() as group:
        group.start_soon(follow_prices)
        feed["scope"] = group.cancel_scope
        ready.set()


async def start_feed(request):
    ready = anyio.Event()
    feed["task"] = asyncio.create_task(own_feed(ready), name="feed-owner")
    with anyio.fail_after(1):
        await ready.wait()
    return PlainTextResponse("started")


async def stop_feed(request):
    feed["scope"].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feed["task"]
    return PlainTextResponse("stopped")


app = Starlette(routes=[Route("/start", start_feed), Route("/stop", stop_feed)])


async def call(client, path):
    response = await client.get(path)
    return f"{path}: {response.text}"


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print(await asyncio.create_task(call(client, "/start"), name="start-request"))
        print(await asyncio.create_task(call(client, "/stop"), name="stop-request"))


if __name__ == "__main__":
    asyncio.run(main())
