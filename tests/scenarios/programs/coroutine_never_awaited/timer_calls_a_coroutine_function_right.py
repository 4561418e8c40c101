"""The timer calls a plain function, which starts a task; a planned coroutine is closed."""
# healthy
import asyncio
from functools import partial


class Prices:
    def __init__(self):
        self.value = "old"
        self.tasks = set()

    async def refresh(self, value):
        await asyncio.sleep(0.01)
        self.value = value

    def start(self, coro):
        task = asyncio.ensure_future(coro)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def plan_refresh(self):
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, self.start, self.refresh("new"))
        loop.call_later(0.03, partial(self.start, self.refresh("newer")))


async def main():
    prices = Prices()
    prices.plan_refresh()
    await asyncio.sleep(0.1)
    print("prices:", prices.value)
    unused = prices.refresh("never")
    unused.close()
    early = prices.start(prices.refresh("never"))
    early.cancel()
    await asyncio.wait([early])
    print("prices:", prices.value, early.cancelled())


if __name__ == "__main__":
    asyncio.run(main())
