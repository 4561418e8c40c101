"""A client hangs up during a streaming response; the body generator stays at its yield."""
# requires: starlette, anyio
# mention: export_rows
import asyncio

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.routing import Route

open_cursors = []


async def export_rows():
    open_cursors.append("cursor")
    try:
        for number in range(1000):
            await asyncio.sleep(0.001)
            yield f"row {number}\n"  # expect: async_generator_not_closed
    finally:
        open_cursors.remove("cursor")


async def export(request):
    request.app.state.last_export = rows = export_rows()
    return StreamingResponse(rows, media_type="text/plain")  # expect: async_generator_not_closed


app = Starlette(routes=[Route("/export", export)])


async def request_and_hang_up(after):
    received = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        received.append(message)
        if len(received) > after:
            raise OSError("connection lost")

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "GET",
             "path": "/export", "raw_path": b"/export", "query_string": b"", "headers": [],
             "http_version": "1.1", "scheme": "http", "server": ("app", 80), "root_path": ""}
    try:
        await app(scope, receive, send)
    except ClientDisconnect:
        print("client left after", len(received) - 1, "messages")


async def main():
    await request_and_hang_up(after=3)
    await asyncio.sleep(0.05)
    print("cursors still open:", len(open_cursors))


if __name__ == "__main__":
    asyncio.run(main())
