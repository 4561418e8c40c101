"""Handlers that come and go resolve futures; one answer is late, and its deadline passes."""
# healthy
import asyncio


class Link:
    def __init__(self):
        self.replies = {}

    async def read(self):
        await asyncio.sleep(0.1)
        for key, reply in self.replies.items():
            if key.startswith("quick"):
                reply.set_result(1)

    async def request(self, key):
        reply = asyncio.get_running_loop().create_future()
        self.replies[key] = reply
        return await asyncio.wait_for(reply, 1.6)


async def main():
    for _ in range(4):
        quick = Link()
        asked = asyncio.create_task(quick.request("quick"))
        await asyncio.sleep(0)
        await asyncio.create_task(quick.read())
        print(await asked)
    link = Link()
    reader = asyncio.create_task(asyncio.sleep(2), name="reader")
    reader.add_done_callback(lambda _: link.replies["a"].cancel())
    try:
        await link.request("a")
    except TimeoutError:
        print("no reply")
    await reader


asyncio.run(main())
