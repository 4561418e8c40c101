"""Deliveries are kept in a set until they are done; the messages are still held weakly."""
# healthy
import asyncio
import gc
import weakref

outbox = weakref.WeakValueDictionary()
delivered = []
deliveries = set()


class Message:
    def __init__(self, number):
        self.number = number
        self.acknowledged = asyncio.Event()
        outbox[number] = self


async def deliver(message):
    await message.acknowledged.wait()
    delivered.append(message.number)


def post(loop, number):
    task = asyncio.ensure_future(deliver(Message(number)), loop=loop)
    deliveries.add(task)
    task.add_done_callback(deliveries.discard)


async def main():
    loop = asyncio.get_running_loop()
    for number in range(20):
        loop.call_soon(post, loop, number)
    await asyncio.sleep(0.02)
    gc.collect()
    for number in range(20):
        outbox[number].acknowledged.set()
    await asyncio.sleep(0.02)
    gc.collect()
    print("delivered:", len(delivered), "left:", len(deliveries), len(outbox))


if __name__ == "__main__":
    asyncio.run(main())
