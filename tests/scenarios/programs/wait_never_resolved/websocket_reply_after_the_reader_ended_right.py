"""The reader fails the calls that are still open when it ends."""
# healthy
# requires: websockets>=13
import asyncio
import json

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def answer_twice(connection):
    for pause in (0, 1.2):
        request = json.loads(await connection.recv())
        await asyncio.sleep(pause)
        await connection.send(json.dumps({"id": request["id"], "result": "pong"}))
    await connection.recv()


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.calls = {}
        self.reader = asyncio.create_task(self.read(), name="reader")

    async def read(self):
        try:
            async for text in self.connection:
                reply = json.loads(text)
                self.calls.pop(reply["id"]).set_result(reply["result"])
        finally:
            for call in self.calls.values():
                call.set_exception(ConnectionError("connection closed"))

    async def call(self, number):
        self.calls[number] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps({"id": number}))
        return await self.calls[number]


async def main():
    async with serve(answer_twice, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as connection:
            client = Client(connection)
            print(await client.call(1), await client.call(2))
            try:
                print(await client.call(3))
            except ConnectionError as exc:
                print(exc)
            await client.reader


if __name__ == "__main__":
    asyncio.run(main())
