"""An MCP session is put on an exit stack which nobody closes before the task ends."""
# requires: mcp<2, anyio
# mention: open_tools
import asyncio
from contextlib import AsyncExitStack

from mcp.server.lowlevel import Server
from mcp.shared.memory import create_connected_server_and_client_session

keep = []


async def open_tools():
    stack = AsyncExitStack()
    keep.append(stack)
    session = await stack.enter_async_context(  # expect: scope_leaked
        create_connected_server_and_client_session(Server("tools")))  # expect: scope_leaked
    await session.send_ping()
    return "tools are ready"


async def main():
    print(await asyncio.create_task(open_tools(), name="opener"))
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except BaseException as exc:
        print("ended with", type(exc).__name__)
