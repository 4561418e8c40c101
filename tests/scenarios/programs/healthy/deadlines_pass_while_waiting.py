"""Ordinary ways of waiting with deadlines that pass."""
# healthy
import asyncio
import threading
import time


async def periodic(stop, log):
    while True:
        try:
            await asyncio.wait_for(stop.wait(), 0.2)
            return
        except TimeoutError:
            log.append("tick")


class Device:
    """A thread answers requests, this time too late."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()

    def answer(self, future, delay):
        time.sleep(delay)
        self.loop.call_soon_threadsafe(lambda: future.done() or future.set_result(1))

    async def ask(self, delay, patience):
        future = self.loop.create_future()
        thread = threading.Thread(target=self.answer, args=(future, delay))
        thread.start()
        try:
            async with asyncio.timeout(patience):
                return await future
        except TimeoutError:
            return "late"
        finally:
            await asyncio.to_thread(thread.join)


async def main():
    stop, log = asyncio.Event(), []
    task = asyncio.create_task(periodic(stop, log))
    device = Device()
    print(await device.ask(0.05, 5), await device.ask(1.6, 1.2))
    stop.set()
    await task
    print(len(log) > 3)
    # alone, with nobody but a thread
    print(await device.ask(1.6, 1.2))


asyncio.run(main())
