"""The response closes its own generator, however the client behaves."""
# healthy
# requires: starlette, anyio
import asyncio

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.routing import Route

open_cursors = []


class ClosingResponse(StreamingResponse):
    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()


async def export_rows(count):
    open_cursors.append("cursor")
    try:
        for number in range(count):
            await asyncio.sleep(0.001)
            yield f"row {number}\n"
    finally:
        open_cursors.remove("cursor")


async def export(request):
    count = 1000 if "all" in request.url.path else 2
    return ClosingResponse(export_rows(count), media_type="text/plain")


app = Starlette(routes=[Route("/all", export), Route("/some", export)])


async def request_and_hang_up(path, after):
    received = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        received.append(message)
        if len(received) > after:
            raise OSError("connection lost")

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "GET",
             "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
             "http_version": "1.1", "scheme": "http", "server": ("app", 80), "root_path": ""}
    try:
        await app(scope, receive, send)
        print("sent all of", path)
    except ClientDisconnect:
        print("client left after", len(received) - 1, "messages")


async def main():
    await request_and_hang_up("/all", after=3)
    await request_and_hang_up("/some", after=30)
    print("cursors still open:", len(open_cursors))


if __name__ == "__main__":
    asyncio.run(main())
