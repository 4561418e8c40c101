"""A pool of workers with priorities, retries, deadlines, pause and cancellation of single jobs.

Jobs are cancelled while waiting and while running, workers survive by uncancel() and by
running the job as a child task; the pool is drained in the end.
"""
# healthy
import asyncio
import itertools


class Pool:
    def __init__(self, size):
        self.queue = asyncio.PriorityQueue()
        self.numbers = itertools.count()
        self.resumed = asyncio.Event()
        self.resumed.set()
        self.idle = asyncio.Condition()
        self.busy = 0
        self.running = {}
        self.log = []
        self.workers = [asyncio.create_task(self.work(), name=f"worker-{n}") for n in range(size)]

    def submit(self, name, job, priority=5):
        result = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((priority, next(self.numbers), name, job, result))
        return result

    async def run_job(self, name, job, result):
        self.running[name] = task = asyncio.create_task(job(), name=f"job-{name}")
        await asyncio.wait([task])
        del self.running[name]
        if task.cancelled():
            self.log.append(f"{name} cancelled")
            result.cancel()
        elif task.exception():
            result.set_exception(task.exception())
        else:
            result.set_result(task.result())

    async def work(self):
        while True:
            await self.resumed.wait()
            _, _, name, job, result = await self.queue.get()
            if result.cancelled():
                self.log.append(f"{name} skipped")
                self.queue.task_done()
                continue
            self.busy += 1
            try:
                await self.run_job(name, job, result)
            finally:
                self.queue.task_done()
                async with self.idle:
                    self.busy -= 1
                    self.idle.notify_all()

    async def drain(self):
        await self.queue.join()
        async with self.idle:
            await self.idle.wait_for(lambda: self.busy == 0)
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)


async def quick():
    await asyncio.sleep(0.005)
    return "quick"


async def failing():
    await asyncio.sleep(0.005)
    raise LookupError("failing")


async def endless():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)


async def with_retries():
    for attempt in range(4):
        try:
            async with asyncio.timeout(0.01 * (attempt + 1)):
                await asyncio.sleep(0.03 if attempt < 3 else 0)
                return f"attempt {attempt}"
        except TimeoutError:
            continue


async def main():
    pool = Pool(4)
    results = [pool.submit(f"quick-{n}", quick) for n in range(20)]
    results += [pool.submit(f"failing-{n}", failing, 1) for n in range(3)]
    results.append(pool.submit("retries", with_retries, 0))
    stuck = pool.submit("endless", endless, 0)
    unwanted = pool.submit("unwanted", quick, 9)
    unwanted.cancel()
    await asyncio.sleep(0.02)
    pool.resumed.clear()
    pool.running["endless"].cancel()
    await asyncio.sleep(0.05)
    pool.resumed.set()
    await pool.drain()
    finished = await asyncio.gather(*results, return_exceptions=True)
    names = [result if isinstance(result, str) else type(result).__name__ for result in finished]
    print({name: names.count(name) for name in sorted(set(names)) if "attempt" not in name})
    print(sorted(pool.log), stuck.cancelled(), unwanted.cancelled())


if __name__ == "__main__":
    asyncio.run(main())
