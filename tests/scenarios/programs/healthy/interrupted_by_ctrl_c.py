"""Ctrl-C in the middle of the work: everything is cancelled, cleans up and is awaited."""
# healthy
import asyncio
import os
import signal

log = []


async def work(name):
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        log.append(name)


async def main():
    background = asyncio.create_task(work("background"), name="background")
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(work(name), name=name)
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await background


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", sorted(log))
        raise
