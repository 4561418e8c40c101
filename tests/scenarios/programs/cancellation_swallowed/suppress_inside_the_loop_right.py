"""suppress() around the await of a cancelled child, outside the watcher's own work."""
# healthy
import asyncio
from contextlib import suppress


async def watch(log):
    for _ in range(12):
        with suppress(ConnectionError):
            await asyncio.sleep(0.1)
            log.append("checked")
            raise ConnectionError


async def main():
    log = []
    watcher = asyncio.create_task(watch(log), name="watcher")
    await asyncio.sleep(0.25)
    watcher.cancel("shutting down")
    with suppress(asyncio.CancelledError):
        await watcher
    print("checked:", len(log), "cancelled:", watcher.cancelled())
    async with asyncio.TaskGroup() as group:
        child = group.create_task(watch(log), name="child")
        await asyncio.sleep(0.01)
        child.cancel()
        with suppress(asyncio.CancelledError):
            await child
        await asyncio.sleep(0.4)
    print("group left")


if __name__ == "__main__":
    asyncio.run(main())
