"""aclosing() closes the reader when the loop body fails; a class needs no closing."""
# healthy
# requires: anyio
from contextlib import aclosing

import anyio


class Countdown:
    def __init__(self, start):
        self.left = start

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        await anyio.sleep(0)
        self.left -= 1
        return self.left


async def records(receive):
    async with receive:
        async for text in receive:
            yield text.strip()


async def load(receive, store):
    async with aclosing(records(receive)) as stream:
        async for record in stream:
            store[int(record)] = record


async def main():
    send, receive = anyio.create_memory_object_stream(10)
    for text in (" 1 ", " 2 ", " three ", " 4 "):
        send.send_nowait(text)
    store = {}
    try:
        await load(receive, store)
    except ValueError as exc:
        print("stopped by", type(exc).__name__, "after", sorted(store))
        print("receivers open:", send.statistics().open_receive_streams)
    async for number in Countdown(5):
        if number == 2:
            break
    send.close()


if __name__ == "__main__":
    anyio.run(main)
