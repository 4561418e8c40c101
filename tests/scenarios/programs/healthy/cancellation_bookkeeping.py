"""Deadlines inside deadlines inside groups, cancelled from all sides; every count is settled."""
# healthy
import asyncio


async def inner(log):
    try:
        async with asyncio.timeout(0.02):
            try:
                async with asyncio.timeout(1):
                    await asyncio.sleep(5)
            finally:
                log.append("inner left")
    except TimeoutError:
        log.append("inner expired")
        await asyncio.sleep(0.01)


async def guarded(log):
    async with asyncio.TaskGroup() as group:
        group.create_task(inner(log), name="inner")
        await asyncio.wait_for(inner(log), 5)


async def retry(log):
    for attempt in range(3):
        worker = asyncio.create_task(asyncio.sleep(5), name=f"attempt-{attempt}")
        asyncio.get_running_loop().call_later(0.01, worker.cancel)
        try:
            await worker
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():
                raise
            log.append(f"attempt {attempt} cancelled")


async def children_cancel_themselves(log):
    async def child():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(child(), name="child")
    log.append("children gone")


async def main():
    log = []
    await guarded(log)
    await retry(log)
    await children_cancel_themselves(log)
    task = asyncio.create_task(guarded(log), name="guarded")
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    print(log, task.cancelled(), asyncio.current_task().cancelling())


if __name__ == "__main__":
    asyncio.run(main())
