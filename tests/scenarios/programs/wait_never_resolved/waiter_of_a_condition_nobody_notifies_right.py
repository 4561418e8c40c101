"""Customers are notified, at once or after a long time; a guard waits for a stop signal."""
# healthy
import asyncio


class Till:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.open = False

    async def wait_for_change(self):
        async with self.changed:
            await self.changed.wait()
        return self.open


async def open_till(till, delay):
    await asyncio.sleep(delay)
    async with till.changed:
        till.open = True
        till.changed.notify_all()


async def guard(stop):
    await stop.wait()


async def main():
    stop = asyncio.Event()
    guards = [asyncio.create_task(guard(stop), name=f"guard-{number}") for number in range(2)]
    for delay in (0.02, 1.2):
        till = Till()
        cashier = asyncio.create_task(open_till(till, delay), name="cashier")
        customers = [asyncio.create_task(till.wait_for_change(), name="customer") for _ in "ab"]
        print(await asyncio.gather(*customers))
        await cashier
    for task in guards:
        task.cancel()
    await asyncio.wait(guards)
    print("guards stopped:", all(task.cancelled() for task in guards))


if __name__ == "__main__":
    asyncio.run(main())
