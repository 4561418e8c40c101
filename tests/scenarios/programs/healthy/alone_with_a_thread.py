"""The only task waits for a thread, and gives up."""
# healthy
import asyncio
import threading
import time


def answer(loop, future):
    time.sleep(1.8)
    loop.call_soon_threadsafe(lambda: future.done() or future.set_result(1))


async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    thread = threading.Thread(target=answer, args=(loop, future))
    thread.start()
    try:
        async with asyncio.timeout(1.3):
            await future
    except TimeoutError:
        print("late")
    future = loop.create_future()
    loop.call_later(2.5, future.cancel)
    try:
        await asyncio.wait_for(future, 1.3)
    except TimeoutError:
        print("late")
    thread.join()


asyncio.run(main())
