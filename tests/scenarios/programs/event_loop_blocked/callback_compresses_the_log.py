"""No task is to blame: a plain timer callback compresses a log for half a second."""
# mention: rotate_log
import asyncio
import time
import zlib

LOG = bytes(range(256)) * 4_000


def rotate_log(sizes):
    give_up = time.perf_counter() + 0.5
    while time.perf_counter() < give_up:
        size = len(zlib.compress(LOG, 9))  # expect: event_loop_blocked
    sizes.append(size > 0)


async def main():
    sizes, loop = [], asyncio.get_running_loop()
    loop.call_later(0.05, rotate_log, sizes)  # expect: event_loop_blocked
    started = loop.time()
    await asyncio.sleep(0.1)
    print("sleep of 0.1 s took longer than 0.4 s:", loop.time() - started > 0.4, sizes)


if __name__ == "__main__":
    asyncio.run(main())
