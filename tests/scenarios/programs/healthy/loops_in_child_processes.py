"""Process pools of both start methods, whose children run loops of their own."""
# healthy
import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor


async def sum_slowly(numbers):
    async def give(number):
        await asyncio.sleep(0.001)
        return number

    async with asyncio.timeout(5):
        return sum(await asyncio.gather(*(give(number) for number in numbers)))


def run_in_child(count):
    return asyncio.run(sum_slowly(range(count)))


def warm_up(pool):
    # A process is started by whoever submits a job, and that would block the loop.
    for job in [pool.submit(time.sleep, 0.2) for _ in range(2)]:
        job.result()


async def main(method, pool):
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(pool, run_in_child, count) for count in (3, 4, 5)]
    print(method, await asyncio.gather(*jobs), "parent", await sum_slowly(range(6)))


if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            warm_up(pool)
            asyncio.run(main(method, pool))
