"""A deadline that strikes the wrong code: opened by one task, left by another.

`Feed.open()` starts a deadline that is meant for the connection alone, and `Feed.close()` ends
it. The program opens the feed in its main task and lets a helper task close it. Python says
nothing about that; half a second later an innocent line of the main task is cancelled.

    ASYNCSCOPE_ENABLE=1 python examples/crossed_scope.py

Needs nothing but Python.
"""

import asyncio
from contextlib import AsyncExitStack


class Feed:
    """A connection with a deadline."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        await self._stack.enter_async_context(asyncio.timeout(0.3))
        await asyncio.sleep(0.05)  # the handshake

    async def close(self) -> None:
        await self._stack.aclose()


async def store(rows: int) -> None:
    """Do what has nothing to do with the feed."""
    await asyncio.sleep(0.5)
    print(f"{rows} rows stored")


async def close_later(feed: Feed) -> None:
    """Close the feed when its work is done."""
    await asyncio.sleep(0.4)
    await feed.close()


async def main() -> None:
    feed = Feed()
    await feed.open()
    closing = asyncio.create_task(close_later(feed), name="closer")
    try:
        await store(rows=3)
    except asyncio.CancelledError:
        print("storing was cancelled, and nobody knows by whom")
    await closing


if __name__ == "__main__":
    asyncio.run(main())
