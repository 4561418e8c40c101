"""The reaper sets an event; the task that opened the session closes it."""
# healthy
# requires: mcp<2, anyio
import asyncio

from mcp.server.lowlevel import Server
from mcp.shared.memory import create_connected_server_and_client_session

sessions = {}


async def own_session(user, ready, retire):
    async with create_connected_server_and_client_session(Server(f"tools of {user}")) as session:
        ready.set_result(session)
        await retire.wait()


async def handle_request(user):
    if user not in sessions:
        ready, retire = asyncio.get_running_loop().create_future(), asyncio.Event()
        owner = asyncio.create_task(own_session(user, ready, retire), name=f"owner-{user}")
        sessions[user] = ready, retire, owner
    session = await sessions[user][0]
    await session.send_ping()
    return f"{user} served"


async def reap_idle():
    for user, (_, retire, owner) in list(sessions.items()):
        retire.set()
        await owner
        print("reaped", user)


async def main():
    print(await asyncio.gather(handle_request("anna"), handle_request("anna")))
    print(await handle_request("bert"))
    await asyncio.create_task(reap_idle(), name="session-reaper")


if __name__ == "__main__":
    asyncio.run(main())
