"""One call of the regular expression engine keeps the thread, and Python's lock, for long."""
# requires: starlette, httpx
# mention: validate
import asyncio
import re
import time

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

NAMES = re.compile(r"(\w+\s?)+$")


async def validate(request):
    length = 16
    while True:
        started = time.thread_time()
        NAMES.match("x" * length + "!")  # expect: event_loop_blocked
        if time.thread_time() - started > 0.4:
            return PlainTextResponse("rejected")
        length += 1
        await asyncio.sleep(0)


async def call(client, path):
    return (await client.get(path)).text


async def main():
    app = Starlette(routes=[Route("/validate", validate)])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print(await call(client, "/validate"))
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
