"""uvicorn.run() serves a Starlette app with a lifespan until the process gets SIGTERM."""
# healthy
# requires: uvicorn, starlette, anyio
import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def say(text):
    print(text)
    sys.stdout.flush()


async def tick():
    while True:
        await anyio.sleep(0.01)


@asynccontextmanager
async def lifespan(app):
    async with anyio.create_task_group() as group:
        group.start_soon(tick, name="ticker")
        poller = asyncio.create_task(tick(), name="poller")
        asyncio.get_running_loop().call_later(0.4, os.kill, os.getpid(), signal.SIGTERM)
        say("started")
        yield
        poller.cancel()
        await asyncio.wait([poller])
        group.cancel_scope.cancel()
    say("stopped")


async def hello(request):
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(app, port=0, log_level="error")
