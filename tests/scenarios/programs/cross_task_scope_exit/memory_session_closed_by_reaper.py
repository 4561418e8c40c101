"""An idle-session reaper closes in-memory MCP sessions which requests have opened."""
# requires: mcp<2, anyio
# mention: reap_idle, session-reaper
import asyncio
from contextlib import AsyncExitStack

from mcp.server.lowlevel import Server
from mcp.shared.memory import create_connected_server_and_client_session

sessions = {}


async def handle_request(user):
    if user not in sessions:
        stack = AsyncExitStack()
        session = await stack.enter_async_context(
            create_connected_server_and_client_session(Server(f"tools of {user}")))
        sessions[user] = stack, session
    stack, session = sessions[user]
    await session.send_ping()
    return f"{user} served"


async def reap_idle():
    for user, (stack, _) in list(sessions.items()):
        try:
            await stack.aclose()  # expect: cross_task_scope_exit
            print("reaped", user)
        except BaseException as exc:
            print("reaping", user, "failed:", type(exc).__name__)


async def main():
    print(await handle_request("anna"))
    reaper = asyncio.create_task(reap_idle(), name="session-reaper")
    try:
        await asyncio.wait({reaper}, timeout=1.5)
    except asyncio.CancelledError:
        print("main was cancelled")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except BaseException as exc:
        print("main ended with", type(exc).__name__)
