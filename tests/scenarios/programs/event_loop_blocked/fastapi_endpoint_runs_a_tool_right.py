"""The same tool in a plain `def` endpoint, in a thread, and as an asyncio subprocess."""
# healthy
# requires: fastapi, httpx
import asyncio
import subprocess
import sys

import httpx
from fastapi import FastAPI

app = FastAPI()
TOOL = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(0.4); print('converted')"]


@app.get("/convert")
def convert():
    result = subprocess.run(TOOL, capture_output=True, text=True, check=True)
    return {"result": result.stdout.strip()}


@app.get("/convert-in-thread")
async def convert_in_thread():
    return await asyncio.to_thread(convert)


@app.get("/convert-async")
async def convert_async():
    process = await asyncio.create_subprocess_exec(*TOOL, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return {"result": output.decode().strip()}


@app.get("/health")
async def health():
    return {"status": "up"}


async def timed(client, path):
    started = asyncio.get_running_loop().time()
    response = await client.get(path)
    return response.json(), asyncio.get_running_loop().time() - started


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        *results, (status, seconds) = await asyncio.gather(
            timed(client, "/convert"), timed(client, "/convert-in-thread"),
            timed(client, "/convert-async"), timed(client, "/health"))
    print([result for result, _ in results], status, "health check was late:", seconds > 0.3)


if __name__ == "__main__":
    asyncio.run(main())
