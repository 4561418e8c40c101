"""A subscription is opened by a task that is over; cancelling it keeps the loop busy for ever."""
# requires: anyio<4.14
# mention: subscribe
import asyncio
import time

import anyio


class Subscription:
    async def subscribe(self):
        self.scope = anyio.CancelScope()
        self.scope.__enter__()  # expect: cancel_delivery_spin, scope_leaked
        await anyio.sleep(0.01)

    def unsubscribe(self):
        self.scope.cancel()


async def main():
    subscription = Subscription()
    await asyncio.create_task(subscription.subscribe(), name="subscriber")
    subscription.unsubscribe()
    before = time.process_time()
    await asyncio.sleep(0.7)
    print("idle loop is busy:", time.process_time() - before > 0.15)


if __name__ == "__main__":
    asyncio.run(main())
