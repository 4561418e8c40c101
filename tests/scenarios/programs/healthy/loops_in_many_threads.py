"""Loops in threads that talk to each other, sync code calling in, and blocking portals."""
# healthy
# requires: anyio
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import anyio
from anyio.from_thread import start_blocking_portal


class LoopThread:
    def __init__(self, name):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, name=name)
        self.thread.start()

    def run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def submit(self, coro):
        return asyncio.run_coroutine_threadsafe(coro, self.loop)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Counter:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.value = 0

    async def add(self, amount):
        async with self.lock:
            before = self.value
            await asyncio.sleep(0.001)
            self.value = before + amount


async def relay(own, other, counter, hops):
    await counter[own].add(1)
    if hops:
        onward = relay(other, own, counter, hops - 1)
        return await asyncio.wrap_future(loops[other].submit(onward)) + 1
    return 0


async def count_down(number):
    async with anyio.create_task_group() as group:
        for each in range(number):
            group.start_soon(anyio.sleep, 0.001 * each)
    return number


def call_portal(portal, number):
    return portal.call(count_down, number)


loops = {name: LoopThread(name) for name in ("left", "right")}


if __name__ == "__main__":
    counters = {name: Counter() for name in loops}
    journeys = [loops["left"].submit(relay("left", "right", counters, 5)) for _ in range(5)]
    print([journey.result(5) for journey in journeys])
    with ThreadPoolExecutor(4) as pool:
        adds = [pool.submit(lambda n=n: loops["right"].submit(counters["right"].add(n)).result(5))
                for n in range(8)]
        for add in as_completed(adds):
            add.result()
    waiting = loops["left"].submit(asyncio.sleep(30))
    waiting.cancel()
    for loop in loops.values():
        loop.stop()
    print({name: counter.value for name, counter in counters.items()})
    with start_blocking_portal() as portal, ThreadPoolExecutor(3) as pool:
        print(sorted(pool.map(lambda n: call_portal(portal, n), range(3))))
    with ThreadPoolExecutor(3) as pool:
        print(sorted(pool.map(lambda n: asyncio.run(count_down(n)), range(3))))
