"""The opener keeps its task alive until the session is to be closed, and closes it."""
# healthy
# requires: mcp<2, anyio
import asyncio
from contextlib import AsyncExitStack

from mcp.server.lowlevel import Server
from mcp.shared.memory import create_connected_server_and_client_session


async def open_tools(ready, done):
    stack = AsyncExitStack()
    try:
        session = await stack.enter_async_context(
            create_connected_server_and_client_session(Server("tools")))
        await session.send_ping()
        ready.set_result("tools are ready")
        await done.wait()
    finally:
        await stack.aclose()


async def main():
    ready, done = asyncio.get_running_loop().create_future(), asyncio.Event()
    opener = asyncio.create_task(open_tools(ready, done), name="opener")
    print(await ready)
    await asyncio.sleep(0.1)
    done.set()
    await opener


if __name__ == "__main__":
    asyncio.run(main())
