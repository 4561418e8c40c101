"""An upload is cancelled between acquire and release of an anyio lock."""
# requires: anyio
# mention: upload
import anyio


async def upload(lock, name, seconds, log):
    await lock.acquire()  # expect: lock_held_at_task_end
    await anyio.sleep(seconds)
    lock.release()
    log.append(name)


async def main():
    lock, log = anyio.Lock(), []
    async with anyio.create_task_group() as group:
        group.start_soon(upload, lock, "large.bin", 5, log, name="upload-large")
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    with anyio.move_on_after(0.3):
        async with anyio.create_task_group() as group:
            group.start_soon(upload, lock, "small.txt", 0.01, log, name="upload-small")
    print("uploaded:", log, "locked:", lock.locked())


if __name__ == "__main__":
    anyio.run(main)
