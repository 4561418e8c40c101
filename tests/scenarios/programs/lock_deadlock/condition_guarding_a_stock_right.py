"""wait_for() gives the condition up while it waits, so that the delivery can come in."""
# healthy
import asyncio


class Shop:
    def __init__(self):
        self.stock = asyncio.Condition()
        self.ledger = asyncio.Lock()
        self.items = 0

    async def order(self):
        async with self.stock:
            await self.stock.wait_for(lambda: self.items)
            self.items -= 1
        async with self.ledger:
            await asyncio.sleep(0.01)

    async def deliver(self):
        async with self.ledger:
            await asyncio.sleep(0.02)
            async with self.stock:
                self.items += 1
                self.stock.notify_all()


async def main():
    shop = Shop()
    async with asyncio.timeout(1.2):
        await asyncio.gather(*(shop.order() for _ in range(5)), *(shop.deliver() for _ in range(5)))
    print("served, items left:", shop.items)


if __name__ == "__main__":
    asyncio.run(main())
