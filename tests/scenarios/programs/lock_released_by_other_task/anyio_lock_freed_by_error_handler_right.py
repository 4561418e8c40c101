"""The supervisor cancels the worker, whose `async with` frees the lock; permits may travel."""
# healthy
# requires: anyio
import asyncio

import anyio


async def work(lock, log):
    async with lock:
        await anyio.sleep(0.05)
        log.append("worker done")


async def supervise(lock, scope):
    await anyio.sleep(0.01)
    scope.cancel()
    async with lock:
        print("lock is free for the supervisor")


async def main():
    lock, log = anyio.Lock(), []
    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(work, lock, log, name="worker")
            outer.start_soon(supervise, lock, group.cancel_scope, name="supervisor")
    started, permits = anyio.Semaphore(0), asyncio.Semaphore(0)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(started.acquire, name="starter")
        await anyio.sleep(0.01)
        for _ in range(3):
            started.release()
            permits.release()
    print(log, started.value, permits.locked())


if __name__ == "__main__":
    anyio.run(main)
