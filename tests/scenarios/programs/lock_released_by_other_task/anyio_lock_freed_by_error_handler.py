"""A supervisor frees the lock of a worker which it believes to be dead; anyio refuses."""
# requires: anyio
# mention: supervise, still held
import anyio


async def work(lock):
    async with lock:
        await anyio.sleep(0.2)
        print("worker done")


async def supervise(lock):
    await anyio.sleep(0.05)
    try:
        lock.release()  # expect: lock_released_by_other_task
        print("freed")
    except RuntimeError as exc:
        print("refused:", type(exc).__name__)


async def main():
    lock = anyio.Lock()
    async with anyio.create_task_group() as group:
        group.start_soon(work, lock, name="worker")
        group.start_soon(supervise, lock, name="supervisor")


if __name__ == "__main__":
    anyio.run(main)
