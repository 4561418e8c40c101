"""An MCP server in memory; clients connect, call tools, are cancelled, time out and leave.

Sessions live side by side in several tasks, one after another in one task, and nested.
"""
# healthy
# requires: mcp<2, anyio
import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
from mcp.server.fastmcp import FastMCP
from mcp.shared.exceptions import McpError
from mcp.shared.memory import create_connected_server_and_client_session as connect

server = FastMCP("tools")
calls = []


@server.tool()
async def add(left: int, right: int) -> int:
    await anyio.sleep(0.001)
    calls.append("add")
    return left + right


@server.tool()
async def ponder(seconds: float) -> str:
    await anyio.sleep(seconds)
    return "done"


@server.tool()
def fail(reason: str) -> str:
    raise ValueError(reason)


async def visit(number):
    async with connect(server._mcp_server) as session:
        tools = await session.list_tools()
        result = await session.call_tool("add", {"left": number, "right": 1})
        return len(tools.tools), int(result.content[0].text)


async def impatient():
    async with connect(server._mcp_server) as session:
        try:
            await session.call_tool("ponder", {"seconds": 0.3},
                                    read_timeout_seconds=timedelta(seconds=0.05))
        except McpError:
            return "timed out"


async def interrupted():
    async with connect(server._mcp_server) as session:
        with anyio.move_on_after(0.05) as scope:
            await session.call_tool("ponder", {"seconds": 5})
        assert scope.cancelled_caught
        result = await session.call_tool("fail", {"reason": "because"})
        return result.isError


async def several_in_one_task():
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(connect(server._mcp_server)) for _ in range(3)]
        results = await asyncio.gather(
            *(session.call_tool("add", {"left": 1, "right": 1}) for session in sessions))
        return [result.content[0].text for result in results]


async def main():
    visits = await asyncio.gather(*(visit(number) for number in range(6)))
    print(visits)
    print(await impatient(), await interrupted(), await several_in_one_task())
    guest = asyncio.create_task(visit_for_ever(), name="guest")
    await asyncio.sleep(0.1)
    guest.cancel()
    await asyncio.wait([guest])
    print("guest cancelled:", guest.cancelled(), len(calls))


async def visit_for_ever():
    async with connect(server._mcp_server) as session:
        while True:
            await session.send_ping()
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())
