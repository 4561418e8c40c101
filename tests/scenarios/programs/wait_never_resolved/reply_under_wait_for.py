"""A reply future is awaited through wait_for; the reader that sets it has died."""
# mention: request
import asyncio


class Link:
    def __init__(self):
        self.replies = {}

    async def read(self):
        await asyncio.sleep(0.1)
        for reply in self.replies.values():
            if not reply.done():
                break
        else:
            reply.set_result(1)

    async def request(self, key):
        reply = asyncio.get_running_loop().create_future()
        self.replies[key] = reply
        return await asyncio.wait_for(reply, 1.6)  # expect: wait_never_resolved


async def main():
    link = Link()
    reader = asyncio.create_task(link.read(), name="reader")
    try:
        await link.request("a")
    except TimeoutError:
        print("no reply")
    await reader


asyncio.run(main())
