"""The parent gives the lock back before it waits for its children."""
# healthy
import asyncio


class Store:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def sync_one(self, name):
        async with self.lock:
            await asyncio.sleep(0)

    async def sync_all(self):
        async with asyncio.TaskGroup() as group:
            async with self.lock:
                for name in "abc":
                    group.create_task(self.sync_one(name), name=f"sync-{name}")
                await asyncio.sleep(0.5)


async def main():
    await Store().sync_all()
    print("synchronised")


asyncio.run(main())
