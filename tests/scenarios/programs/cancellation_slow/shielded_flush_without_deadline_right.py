"""The shield has a deadline of its own; and a long flush without any cancellation is fine."""
# healthy
# requires: anyio
import time

import anyio


async def flush(buffer):
    while buffer:
        await anyio.sleep(0.25)
        buffer.pop()


async def write_forever(buffer):
    try:
        while True:
            await anyio.sleep(0.02)
            if len(buffer) < 5:
                buffer.append("line")
    finally:
        with anyio.move_on_after(0.04, shield=True):
            await flush(buffer)


async def main():
    started = time.monotonic()
    with anyio.move_on_after(0.2):
        await write_forever([])
    print("more than a second late:", time.monotonic() - started > 1.2)
    with anyio.CancelScope(shield=True):
        await flush(["line"] * 5)
    print("flushed at leisure")


if __name__ == "__main__":
    anyio.run(main)
