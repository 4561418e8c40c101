"""A web service on uvicorn: `/` says hello; `/work` makes tasks and uses a lock, a timeout, a
generator.

`service.py PORT-FILE` listens on a free port and writes its number to the file. For each line on
stdin it prints one line of JSON with the CPU time of the process so far; it ends with stdin.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn


async def part(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def items() -> AsyncIterator[int]:
    for number in range(5):
        yield number


class Service:
    """An ASGI application."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def _work(self) -> bytes:
        async with asyncio.timeout(30):
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(part(number)) for number in range(3)]
            async with self._lock:
                total = sum(task.result() for task in parts)
            async for number in items():
                total += number
        return b"%d" % total

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = await self._work() if scope["path"] == "/work" else b"hello"
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    config = uvicorn.Config(
        Service(), host="127.0.0.1", port=0, log_level="error", access_log=False, http="h11",
        loop="asyncio", lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)

    def answer() -> None:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        Path(sys.argv[1]).write_text(str(port))
        for _ in sys.stdin:
            sys.stdout.write(json.dumps({"cpu_ns": time.process_time_ns()}) + "\n")
            sys.stdout.flush()
        server.should_exit = True

    threading.Thread(target=answer, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
