"""A websocket client's reader ends when the server closes; the open call waits on."""
# requires: websockets>=13
# mention: call
import asyncio
import json

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def answer_once(connection):
    request = json.loads(await connection.recv())
    await connection.send(json.dumps({"id": request["id"], "result": "pong"}))
    await connection.recv()


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.calls = {}
        self.reader = asyncio.create_task(self.read(), name="reader")

    async def read(self):
        async for text in self.connection:
            reply = json.loads(text)
            self.calls.pop(reply["id"]).set_result(reply["result"])

    async def call(self, number):
        self.calls[number] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps({"id": number}))
        return await self.calls[number]  # expect: wait_never_resolved


async def main():
    async with serve(answer_once, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as connection:
            client = Client(connection)
            print(await client.call(1))
            second = asyncio.create_task(client.call(2), name="second-call")
            done, _ = await asyncio.wait([second], timeout=1.5)
            print("answered:", bool(done), "reader ended:", client.reader.done())
            second.cancel()
            await asyncio.gather(second, client.reader, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
