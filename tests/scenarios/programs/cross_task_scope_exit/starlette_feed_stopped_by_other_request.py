"""One request starts the price feed by entering its task group, another one stops it."""
# requires: starlette, httpx, anyio
# mention: stop_feed, stop-request
import asyncio

import anyio
import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

feed = {}


async def follow_prices():
    while True:
        await anyio.sleep(0.01)


async def start_feed(request):
    feed["group"] = await anyio.create_task_group().__aenter__()
    feed["group"].start_soon(follow_prices)
    return PlainTextResponse("started")


async def stop_feed(request):
    feed["group"].cancel_scope.cancel()
    await feed["group"].__aexit__(None, None, None)  # expect: cross_task_scope_exit
    return PlainTextResponse("stopped")


app = Starlette(routes=[Route("/start", start_feed), Route("/stop", stop_feed)])


async def call(client, path):
    try:
        response = await client.get(path)
        return f"{path}: {response.text}"
    except RuntimeError as exc:
        return f"{path}: {type(exc).__name__}"


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print(await asyncio.create_task(call(client, "/start"), name="start-request"))
        print(await asyncio.create_task(call(client, "/stop"), name="stop-request"))


if __name__ == "__main__":
    asyncio.run(main())
