"""A worker thread runs its own loop for one call and closes it under a heartbeat."""
# mention: heartbeat, beat
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
    keep.append(asyncio.create_task(beat(log), name="heartbeat"))  # expect: task_leaked
    await asyncio.sleep(0.05)
    return "served"


def thread_main(log):
    loop = asyncio.new_event_loop()
    try:
        log.append(loop.run_until_complete(serve_once(log)))
    finally:
        loop.close()


if __name__ == "__main__":
    log = []
    thread = threading.Thread(target=thread_main, args=(log,))
    thread.start()
    thread.join()
    print("served" in log, "beats:", "beat" in log, "tidied up:", "tidied up" in log)
    keep.clear()
