"""call_later() gets an async function: the refresh is planned and never happens."""
# mention: refresh
import asyncio


class Prices:
    def __init__(self):
        self.value = "old"

    async def refresh(self):  # expect: coroutine_never_awaited
        await asyncio.sleep(0.01)
        self.value = "new"

    def plan_refresh(self):
        asyncio.get_running_loop().call_later(0.02, self.refresh)  # expect: coroutine_never_awaited


async def main():
    prices = Prices()
    prices.plan_refresh()
    await asyncio.sleep(0.1)
    print("prices:", prices.value)


if __name__ == "__main__":
    asyncio.run(main())
