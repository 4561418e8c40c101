"""The cancelled upload releases in `finally`; a waiter that is cancelled never had the lock."""
# healthy
# requires: anyio
import anyio


async def upload(lock, name, seconds, log):
    await lock.acquire()
    try:
        await anyio.sleep(seconds)
    finally:
        lock.release()
    log.append(name)


async def main():
    lock, log = anyio.Lock(), []
    async with anyio.create_task_group() as group:
        group.start_soon(upload, lock, "large.bin", 5, log, name="upload-large")
        group.start_soon(upload, lock, "waiting.bin", 5, log, name="upload-waiting")
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    with anyio.move_on_after(0.3):
        async with anyio.create_task_group() as group:
            group.start_soon(upload, lock, "small.txt", 0.01, log, name="upload-small")
    print("uploaded:", log, "locked:", lock.locked())


if __name__ == "__main__":
    anyio.run(main)
