"""A pattern without nested repetition; hard work in C is done in another process."""
# healthy
# requires: starlette, httpx
import asyncio
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

NAMES = re.compile(r"\w+(\s\w+)*$")
EVIL = re.compile(r"(\w+\s?)+$")
pool = None


def match_evil(text):
    return bool(EVIL.match(text))


async def validate(request):
    for length in range(16, 5_000, 50):
        NAMES.match("x " * length + "!")
        await asyncio.sleep(0)
    evil = await asyncio.get_running_loop().run_in_executor(pool, match_evil, "x" * 20 + "!")
    return PlainTextResponse(f"rejected, {evil}")


async def main():
    app = Starlette(routes=[Route("/validate", validate)])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print((await client.get("/validate")).text)


if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(match_evil, "warm up").result()
        asyncio.run(main())
