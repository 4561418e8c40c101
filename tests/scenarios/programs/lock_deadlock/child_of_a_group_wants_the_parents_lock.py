"""A task holds a lock around a task group whose children need the same lock."""
# mention: sync_all, sync_one
import asyncio


class Store:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def sync_one(self, name):
        async with self.lock:  # expect: lock_deadlock
            await asyncio.sleep(0)

    async def sync_all(self):
        async with self.lock:
            async with asyncio.TaskGroup() as group:  # expect: lock_deadlock
                group.create_task(self.sync_one("a"), name="sync-a")


async def main():
    try:
        async with asyncio.timeout(1.2):
            await Store().sync_all()
    except TimeoutError:
        print("stuck")


asyncio.run(main())
