"""Whoever fails to get the printer lock in time releases it in `finally`, for the owner."""
# mention: print_page, impatient, does not check its owner
import asyncio

log = []


async def print_page(lock, name, seconds):
    try:
        async with asyncio.timeout(0.1):
            await lock.acquire()
        log.append(f"{name} prints")
        await asyncio.sleep(seconds)
    except TimeoutError:
        log.append(f"{name} gives up")
    finally:
        if lock.locked():
            lock.release()  # expect: lock_released_by_other_task


async def main():
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for name, seconds in (("patient", 0.6), ("impatient", 0.1), ("lucky", 0.05)):
            group.create_task(print_page(lock, name, seconds), name=name)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.13)
        group.create_task(print_page(lock, "fourth", 0.1), name="fourth")
    print(log)


if __name__ == "__main__":
    asyncio.run(main())
