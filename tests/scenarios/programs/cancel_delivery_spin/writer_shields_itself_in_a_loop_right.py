"""The flush is shielded by a scope, or waited for once; nothing spins."""
# healthy
# requires: anyio
import asyncio
import contextlib
import time

import anyio


async def flush():
    await asyncio.sleep(0.3)
    return "flushed"


async def drain():
    with anyio.CancelScope(shield=True):
        return await flush()


async def drain_politely():
    try:
        await anyio.sleep(5)
    finally:
        with anyio.move_on_after(0.05, shield=True):
            await anyio.sleep(0.02)


async def drain_in_few_turns():
    try:
        await anyio.sleep(5)
    finally:
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)


async def main():
    for job in (drain, drain_politely, drain_in_few_turns):
        with anyio.CancelScope() as scope:
            asyncio.get_running_loop().call_later(0.02, scope.cancel)
            before = time.process_time()
            await job()
        print(job.__name__, "spun:", time.process_time() - before > 0.15)


if __name__ == "__main__":
    asyncio.run(main())
