"""Waits of more than a second that end by their deadline, though nobody has gone.

A consumer polls with a deadline, an RPC call times out while the server is only slow, a child
process sleeps, a party is late at the barrier, a condition is notified after the deadline.
"""
# healthy
import asyncio
import sys


async def slow_producer(queue, barrier, till):
    await asyncio.sleep(1.4)
    await queue.put("late")
    async with till:
        till.notify_all()
    await barrier.wait()


async def poll(queue):
    polls = 0
    while True:
        polls += 1
        try:
            return polls, await asyncio.wait_for(queue.get(), 1.15)
        except TimeoutError:
            continue


class Client:
    def __init__(self):
        self.replies = {}
        self.requests = asyncio.Queue()
        self.server = asyncio.create_task(self.serve(), name="slow-server")

    async def serve(self):
        while True:
            number = await self.requests.get()
            await asyncio.sleep(1.4)
            if not self.replies[number].done():
                self.replies[number].set_result("pong")

    async def call(self, number):
        self.replies[number] = asyncio.get_running_loop().create_future()
        await self.requests.put(number)
        try:
            async with asyncio.timeout(1.15):
                return await self.replies[number]
        except TimeoutError:
            return "timed out"

    async def close(self):
        self.server.cancel()
        await asyncio.wait([self.server])


async def impatient_customer(till):
    try:
        async with asyncio.timeout(1.15), till:
            await till.wait()
    except TimeoutError:
        return "left the till"


async def sleeping_child():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-c", "print('hi', flush=True); import time; time.sleep(60)",
        stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.wait_for(process.wait(), 1.15)
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        return output.decode().strip()


async def main():
    queue, barrier, till = asyncio.Queue(), asyncio.Barrier(2), asyncio.Condition()
    producer = asyncio.create_task(slow_producer(queue, barrier, till), name="producer")
    client = Client()
    results = await asyncio.gather(
        poll(queue), client.call(1), impatient_customer(till), sleeping_child(), barrier.wait())
    print(results[:-1])
    await producer
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
