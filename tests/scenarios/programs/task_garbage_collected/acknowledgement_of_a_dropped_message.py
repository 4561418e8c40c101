"""The outbox keeps acknowledgements weakly; the delivery that waits for one is collected."""
# mention: deliver
import asyncio
import gc
import weakref

outbox = weakref.WeakValueDictionary()
delivered = []


class Message:
    def __init__(self, number):
        self.number = number
        self.acknowledged = asyncio.Event()
        outbox[number] = self


async def deliver(message):
    await message.acknowledged.wait()
    delivered.append(message.number)


def post(loop, number):
    asyncio.ensure_future(deliver(Message(number)), loop=loop)  # expect: task_garbage_collected


async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(post, loop, 1)
    loop.call_soon(post, loop, 2)
    await asyncio.sleep(0.02)
    gc.collect()
    await asyncio.sleep(0.02)
    for number in (1, 2):
        if number in outbox:
            outbox[number].acknowledged.set()
    await asyncio.sleep(0.02)
    print("delivered:", delivered)


if __name__ == "__main__":
    asyncio.run(main())
