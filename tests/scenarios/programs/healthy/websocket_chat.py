"""A chat room on the websockets library: a dozen guests, broadcasts, leavers and a slow reader."""
# healthy
# requires: websockets>=13
import asyncio
import json
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed


class Room:
    def __init__(self):
        self.guests = {}
        self.lock = asyncio.Lock()
        self.said = 0

    async def greet(self, connection):
        name = json.loads(await connection.recv())["name"]
        async with self.lock:
            self.guests[name] = connection
            await asyncio.sleep(0)
        return name

    async def talk(self, connection):
        name = await self.greet(connection)
        try:
            with suppress(ConnectionClosed):
                async for text in connection:
                    self.said += 1
                    broadcast(self.guests.values(), json.dumps({"from": name, "text": text}))
        finally:
            async with self.lock:
                del self.guests[name]


async def listen(connection, heard):
    with suppress(ConnectionClosed):
        async for text in connection:
            heard.append(json.loads(text)["from"])


async def guest(url, number, everybody_in, heard):
    async with connect(url) as connection:
        await connection.send(json.dumps({"name": f"guest-{number}"}))
        listener = asyncio.create_task(listen(connection, heard), name=f"listener-{number}")
        await everybody_in.wait()
        for word in range(number % 4):
            await connection.send(f"word {word}")
            await asyncio.sleep(0.002)
        if number % 5 == 0:
            connection.transport.abort()
        else:
            await asyncio.sleep(0.2)
    await listener


async def main():
    room, heard = Room(), []
    async with serve(room.talk, "127.0.0.1", 0, ping_interval=0.1) as server:
        url = "ws://127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        everybody_in = asyncio.Barrier(12)
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(guest(url, number, everybody_in, heard), name=f"guest-{number}")
        async with asyncio.timeout(1):
            while room.guests:
                await asyncio.sleep(0.01)
    print("said:", room.said, "heard by many:", len(heard) > room.said, "left:", len(room.guests))


if __name__ == "__main__":
    asyncio.run(main())
