"""The cashier changes the state and ends without notify(); the customer sleeps on."""
# mention: wait_for_change, customer
import asyncio


class Till:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.open = False

    async def wait_for_change(self):
        async with self.changed:
            await self.changed.wait()  # expect: wait_never_resolved
        return self.open


async def open_till(till):
    await asyncio.sleep(0.02)
    async with till.changed:
        till.open = True


async def main():
    till = Till()
    cashier = asyncio.create_task(open_till(till), name="cashier")
    customer = asyncio.create_task(till.wait_for_change(), name="customer")
    await cashier
    try:
        print(await asyncio.wait_for(customer, 1.4))
    except TimeoutError:
        print("till is open:", till.open, "but the customer has not noticed")


if __name__ == "__main__":
    asyncio.run(main())
