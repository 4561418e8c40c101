"""Each thread cancels and awaits what is left before it closes its loop."""
# healthy
import asyncio
import threading

keep = []


async def beat(log):
    try:
        while True:
            await asyncio.sleep(0.02)
            log.append("beat")
    finally:
        log.append("tidied up")


async def serve_once(log):
    keep.append(asyncio.create_task(beat(log), name="heartbeat"))
    await asyncio.sleep(0.05)
    return "served"


def thread_main(log):
    loop = asyncio.new_event_loop()
    try:
        log.append(loop.run_until_complete(serve_once(log)))
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def run_kindly(log):
    asyncio.run(serve_once(log))
    log.append("served")


if __name__ == "__main__":
    log = []
    threads = [threading.Thread(target=main, args=(log,)) for main in (thread_main, run_kindly)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(log.count("served"), "beats:", "beat" in log, "tidied up:", log.count("tidied up"))
