"""Starlette's BaseHTTPMiddleware, which runs the app in task groups, with readers that stop."""
# healthy
# requires: starlette, httpx, anyio
import asyncio

import anyio
import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        with anyio.fail_after(2):
            response = await call_next(request)
        response.headers["x-timing"] = "some"
        return response


class Guard(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        if "secret" in request.url.path:
            return PlainTextResponse("forbidden", status_code=403)
        return await call_next(request)


async def numbers(request):
    async def body():
        for number in range(10):
            await anyio.sleep(0.001)
            yield f"{number},"

    return StreamingResponse(body())


async def upload(request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


async def slow(request):
    await anyio.sleep(1)


async def broken(request):
    raise ZeroDivisionError


app = Starlette(
    routes=[Route("/numbers", numbers), Route("/upload", upload, methods=["POST"]),
            Route("/broken", broken), Route("/secret", numbers),
            Route("/slow", slow)],
    middleware=[Middleware(Timing), Middleware(Guard)],
)


async def body_in_pieces():
    for _ in range(5):
        await asyncio.sleep(0.001)
        yield b"x" * 100


async def visit(client):
    texts = []
    for path in ("/numbers", "/secret", "/nothing"):
        response = await client.get(path)
        texts.append(f"{response.status_code} {response.text[:6]}")
    response = await client.post("/upload", content=body_in_pieces())
    texts.append(response.text)
    try:
        await client.get("/broken")
    except ZeroDivisionError:
        texts.append("broken")
    return texts


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        visits = await asyncio.gather(*(visit(client) for _ in range(8)))
        print(visits[0], all(each == visits[0] for each in visits))
        try:
            await asyncio.wait_for(client.get("/slow"), 0.05)
        except TimeoutError:
            print("one visitor left early")


if __name__ == "__main__":
    asyncio.run(main())
