"""A task that awaits a thread is cancelled and ends at once; the thread takes its time."""
# healthy
import asyncio
import threading
import time

finished = []


def crunch(seconds):
    time.sleep(seconds)
    finished.append(threading.current_thread() is not threading.main_thread())


async def compute():
    await asyncio.to_thread(crunch, 1.3)


async def main():
    loop = asyncio.get_running_loop()
    started = loop.time()
    computing = asyncio.create_task(compute(), name="computing")
    await asyncio.sleep(0.05)
    computing.cancel()
    await asyncio.wait([computing])
    try:
        async with asyncio.timeout(0.05):
            await loop.run_in_executor(None, crunch, 0.3)
    except TimeoutError:
        print("did not wait")
    print("quick:", loop.time() - started < 0.5, "cancelled:", computing.cancelled())


if __name__ == "__main__":
    asyncio.run(main())
    print("threads finished:", finished)
