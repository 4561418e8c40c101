"""Orders and deliveries take a condition and a ledger lock in opposite order."""
# mention: order-7, delivery-3
import asyncio


class Shop:
    def __init__(self):
        self.stock = asyncio.Condition()
        self.ledger = asyncio.Lock()
        self.items = 1

    async def order(self):
        async with self.stock:
            await self.stock.wait_for(lambda: self.items)
            await asyncio.sleep(0.02)
            async with self.ledger:  # expect: lock_deadlock
                self.items -= 1

    async def deliver(self):
        async with self.ledger:
            await asyncio.sleep(0.02)
            async with self.stock:  # expect: lock_deadlock
                self.items += 1
                self.stock.notify_all()


async def main():
    shop = Shop()
    order = asyncio.create_task(shop.order(), name="order-7")
    delivery = asyncio.create_task(shop.deliver(), name="delivery-3")
    try:
        async with asyncio.timeout(1.2):
            await asyncio.gather(order, delivery)
        print("served")
    except TimeoutError:
        print("shop is stuck, items:", shop.items)


if __name__ == "__main__":
    asyncio.run(main())
