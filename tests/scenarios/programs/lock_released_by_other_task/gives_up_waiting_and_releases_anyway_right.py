"""Only who has acquired releases, although acquire and release are far apart."""
# healthy
import asyncio

log = []


async def print_page(lock, name, seconds):
    owned = False
    try:
        owned = await asyncio.wait_for(lock.acquire(), 0.1)
        log.append(f"{name} prints")
        await asyncio.sleep(seconds)
    except TimeoutError:
        log.append(f"{name} gives up")
    finally:
        if owned:
            lock.release()


async def main():
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for name, seconds in (("patient", 0.3), ("impatient", 0.1), ("lucky", 0.05)):
            group.create_task(print_page(lock, name, seconds), name=name)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        group.create_task(print_page(lock, "fourth", 0.1), name="fourth")
    print(log, lock.locked())


if __name__ == "__main__":
    asyncio.run(main())
