"""A deadline of 0.2 s is kept after 1.5 s, because the flush is shielded and unlimited."""
# requires: anyio
# mention: flush
import time

import anyio


async def flush(buffer):
    while buffer:
        await anyio.sleep(0.25)  # expect: cancellation_slow
        buffer.pop()


async def write_forever(buffer):
    try:
        while True:
            await anyio.sleep(0.02)
            if len(buffer) < 5:
                buffer.append("line")
    finally:
        with anyio.CancelScope(shield=True):
            await flush(buffer)  # expect: cancellation_slow


async def main():
    started = time.monotonic()
    with anyio.move_on_after(0.2):
        await write_forever([])
    print("more than a second late:", time.monotonic() - started > 1.2)


if __name__ == "__main__":
    anyio.run(main)
