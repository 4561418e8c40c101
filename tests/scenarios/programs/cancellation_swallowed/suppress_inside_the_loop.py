"""contextlib.suppress() was meant for a child and swallows the cancellation of the watcher."""
# mention: watch
import asyncio
from contextlib import suppress


async def watch(log):
    for _ in range(12):
        with suppress(asyncio.CancelledError, ConnectionError):  # expect: cancellation_swallowed
            await asyncio.sleep(0.1)  # expect: cancellation_swallowed
            log.append("checked")


async def main():
    log = []
    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch(log), name="watcher")
        await asyncio.sleep(0.25)
        watcher.cancel("shutting down")
        before = len(log)
    print("went on for long:", len(log) - before > 5, "cancelled:", watcher.cancelled())


if __name__ == "__main__":
    asyncio.run(main())
