"""A web service under load with nothing wrong in it: asyncscope says one line.

A FastAPI application with a background task that is stopped in order, a lock, deadlines, a
streamed answer, a thread and a task group; forty clients talk to it over real sockets. Four of
them lose patience with a slow answer, which is no fault either.

    ASYNCSCOPE_ENABLE=1 python examples/healthy_service.py

Needs `pip install fastapi httpx uvicorn`.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse


class Counter:
    """Visits, guarded by a lock; a background task makes sums of them."""

    def __init__(self) -> None:
        self.visits = 0
        self.sums = 0
        self.lock = asyncio.Lock()

    async def count(self) -> int:
        async with self.lock:
            self.visits += 1
            await asyncio.sleep(0)
            return self.visits

    async def sum_up(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.sums += 1


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.counter = counter = Counter()
    summing = asyncio.create_task(counter.sum_up(), name="sums")
    yield
    summing.cancel()
    with suppress(asyncio.CancelledError):
        await summing


app = FastAPI(lifespan=lifespan)


@app.get("/visit")
async def visit() -> dict[str, int]:
    async with asyncio.timeout(20):
        return {"number": await app.state.counter.count()}


@app.get("/lines")
async def lines() -> StreamingResponse:
    async def text() -> AsyncIterator[str]:
        for number in range(5):
            yield f"line {number}\n"
            await asyncio.sleep(0.001)

    return StreamingResponse(text())


@app.get("/slow")
def slow() -> str:
    """Run in a thread, as FastAPI does with plain functions."""
    time.sleep(0.3)
    return "late"


async def call(client: httpx.AsyncClient, number: int) -> str:
    """Visit, read a stream, and now and then give up waiting."""
    await client.get("/visit")
    async with client.stream("GET", "/lines") as answer:
        count = len([line async for line in answer.aiter_lines()])
    if number % 10 == 0:
        with suppress(httpx.ReadTimeout):
            await client.get("/slow", timeout=httpx.Timeout(30, read=0.05))
    return f"{count} lines"


async def main() -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        serving = asyncio.create_task(server.serve([listening]), name="server")
        url = f"http://127.0.0.1:{port}"
        # no TLS is used, and to load its certificates would block the loop
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(call(client, number)) for number in range(40)]
            visits = (await client.get("/visit")).json()["number"]
        server.should_exit = True
        await serving
    print(f"{visits} visits, {len({task.result() for task in calls})} kind of answer")


if __name__ == "__main__":
    asyncio.run(main())
