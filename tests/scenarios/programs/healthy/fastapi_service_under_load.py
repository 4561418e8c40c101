"""A FastAPI service in uvicorn, 200 requests from 20 clients, some of which hang up early.

Lifespan with a background refresher, middleware of both kinds, dependencies with yield,
streaming, background tasks, thread endpoints, a websocket, a deadline for slow calls.
"""
# healthy
# requires: fastapi, uvicorn, httpx, anyio, websockets
import asyncio
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse

statistics = {"refreshed": 0, "sessions": 0, "audited": 0, "open": 0}
pool = asyncio.Semaphore(8)


async def refresh_cache():
    while True:
        await asyncio.sleep(0.01)
        statistics["refreshed"] += 1


@asynccontextmanager
async def lifespan(app):
    async with anyio.create_task_group() as group:
        group.start_soon(refresh_cache, name="cache-refresher")
        yield
        group.cancel_scope.cancel()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def add_header(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-served-by"] = "app"
    return response


async def session():
    async with pool:
        statistics["sessions"] += 1
        statistics["open"] += 1
        try:
            yield statistics
        finally:
            statistics["open"] -= 1


async def audit(number):
    await asyncio.sleep(0.001)
    statistics["audited"] += 1


@app.get("/items/{number}")
async def item(number: int, background: BackgroundTasks, db=Depends(session)):
    if number % 17 == 0:
        raise HTTPException(404, "no such item")
    await asyncio.sleep(0.002)
    background.add_task(audit, number)
    return {"number": number}


@app.get("/report/{number}")
def report(number: int):
    return {"report": sum(range(number))}


@app.get("/slow")
async def slow():
    try:
        async with asyncio.timeout(0.03):
            await asyncio.sleep(5)
    except TimeoutError:
        raise HTTPException(504, "too slow") from None


@app.get("/stream")
async def stream():
    async def rows():
        for number in range(30):
            await asyncio.sleep(0.001)
            yield f"{number}\n"

    return StreamingResponse(rows())


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def visit(client, number, codes):
    paths = (f"/items/{number}", f"/report/{number}", "/slow", "/stream", f"/items/{number * 17}")
    for path in [*paths, *paths]:
        response = await client.get(path)
        codes.append(response.status_code)


async def hang_up(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: app\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.005)
    writer.transport.abort()


async def chat(host, port):
    from websockets.asyncio.client import connect

    async with connect(f"ws://{host}:{port}/echo") as socket:
        for text in ("hello", "bye"):
            await socket.send(text)
            assert await socket.recv() == text.upper()


async def main():
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="on", ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(), name="uvicorn")
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    codes = []
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10, verify=False) as client:
        async with asyncio.TaskGroup() as group:
            for number in range(1, 21):
                group.create_task(visit(client, number, codes), name=f"visitor-{number}")
            for _ in range(5):
                group.create_task(hang_up(host, port), name="rude-visitor")
                group.create_task(chat(host, port), name="chatter")
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await serving
    print({code: codes.count(code) for code in sorted(set(codes))})
    print("audited", statistics["audited"], "sessions left open:", statistics["open"],
          "refreshed:", statistics["refreshed"] > 3)


if __name__ == "__main__":
    asyncio.run(main())
