"""An `async def` endpoint calls subprocess.run(); other requests wait for the tool."""
# requires: fastapi, httpx
# mention: convert
import asyncio
import subprocess
import sys

import httpx
from fastapi import FastAPI

app = FastAPI()
TOOL = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(0.6); print('converted')"]


@app.get("/convert")
async def convert():
    result = subprocess.run(TOOL, capture_output=True, text=True, check=True)  # expect: event_loop_blocked
    return {"result": result.stdout.strip()}


@app.get("/health")
async def health():
    return {"status": "up"}


async def timed(client, path, started):
    response = await client.get(path)
    return response.json(), asyncio.get_running_loop().time() - started


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        now = asyncio.get_running_loop().time()
        (result, _), (status, seconds) = await asyncio.gather(
            timed(client, "/convert", now), timed(client, "/health", now))
    print(result, status, "health check was late:", seconds > 0.3)


if __name__ == "__main__":
    asyncio.run(main())
