"""An MCP client that is opened by one task and closed by another.

`Tools` keeps a stdio client of `mcp` on an exit stack. Its cancel scopes belong to the task
that opened it; the task "closer" is refused: "Attempted to exit cancel scope in a different
task than it was entered in", from deep inside two libraries and without a line of this file
that opened anything.

    ASYNCSCOPE_ENABLE=1 python examples/crossed_scope_mcp.py

Needs `pip install mcp`. The server is support/mcp_server.py.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

PROGRAM = Path(__file__).parent / "support" / "mcp_server.py"
SERVER = StdioServerParameters(command=sys.executable, args=[str(PROGRAM)])


class Tools:
    """The tools of one server."""

    def __init__(self, streams: Any) -> None:
        self._streams = streams
        self._stack = AsyncExitStack()

    async def open(self) -> ClientSession:
        session = await self._stack.enter_async_context(ClientSession(*self._streams))
        await session.initialize()
        return session

    async def close(self) -> None:
        await self._stack.aclose()


async def main() -> None:
    async with stdio_client(SERVER) as streams:
        tools = Tools(streams)
        session = await tools.open()
        print("tools:", [tool.name for tool in (await session.list_tools()).tools])
        try:
            await asyncio.create_task(tools.close(), name="closer")
        except RuntimeError as error:
            print("not closed:", error)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (asyncio.CancelledError, RuntimeError) as error:
        print("ended with", type(error).__name__)
