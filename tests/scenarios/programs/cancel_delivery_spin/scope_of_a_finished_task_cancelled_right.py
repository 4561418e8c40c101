"""The subscriber stays inside its scope until it is told to leave."""
# healthy
# requires: anyio
import asyncio
import time

import anyio


class Subscription:
    def __init__(self):
        self.scope = anyio.CancelScope()

    async def subscribe(self):
        with self.scope:
            await anyio.sleep_forever()

    def unsubscribe(self):
        self.scope.cancel()


async def main():
    subscriptions = [Subscription() for _ in range(3)]
    tasks = [asyncio.create_task(each.subscribe(), name="subscriber") for each in subscriptions]
    subscriptions[0].unsubscribe()
    await asyncio.sleep(0.01)
    for each in subscriptions:
        each.unsubscribe()
    await asyncio.gather(*tasks)
    for each in subscriptions:
        each.unsubscribe()
    before = time.process_time()
    await asyncio.sleep(0.5)
    print("idle loop is busy:", time.process_time() - before > 0.15)


if __name__ == "__main__":
    asyncio.run(main())
