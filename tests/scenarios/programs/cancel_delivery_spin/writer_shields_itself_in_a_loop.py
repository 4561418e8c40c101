"""A writer waits for its last flush in a loop that ignores every cancellation."""
# requires: anyio
# mention: drain
import asyncio
import time

import anyio


async def flush():
    await asyncio.sleep(0.7)
    return "flushed"


async def drain():
    flushing = asyncio.create_task(flush(), name="flush")
    while not flushing.done():
        try:
            await asyncio.shield(flushing)
        except asyncio.CancelledError:
            pass
    return flushing.result()


async def main():
    with anyio.CancelScope() as scope:  # expect: cancel_delivery_spin
        asyncio.get_running_loop().call_later(0.05, scope.cancel)
        before = time.process_time()
        print(await drain())
    print("burnt processor time while waiting:", time.process_time() - before > 0.15)


if __name__ == "__main__":
    asyncio.run(main())
