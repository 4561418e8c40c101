"""Compressed by a job in a thread pool, or compresses one small piece at a time."""
# healthy
import asyncio
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

LOG = bytes(range(256)) * 400


def compress_for(seconds):
    give_up = time.perf_counter() + seconds
    while time.perf_counter() < give_up:
        size = len(zlib.compress(LOG, 9))
    return size > 0


def compress_piece(loop, left, finished):
    compress_for(0.02)
    if left:
        loop.call_soon(compress_piece, loop, left - 1, finished)
    else:
        finished.set_result(True)


async def main():
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    loop.call_later(0.01, compress_piece, loop, 20, finished)
    with ThreadPoolExecutor(1) as pool:
        print(await loop.run_in_executor(pool, compress_for, 0.4), await finished)


if __name__ == "__main__":
    asyncio.run(main())
