"""A scope is cancelled while a thread computes; it can only be left when the thread is done."""
# requires: anyio
# mention: make_thumbnail
import time

import anyio


def render(size):
    deadline = time.monotonic() + 1.6
    while time.monotonic() < deadline:
        time.sleep(0.01)
    return size


async def make_thumbnail(size):
    return await anyio.to_thread.run_sync(render, size)  # expect: cancellation_slow


async def main():
    started = time.monotonic()
    async with anyio.create_task_group() as group:
        group.start_soon(make_thumbnail, 64, name="thumbnail")
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    print("left more than a second later:", time.monotonic() - started > 1.1)


if __name__ == "__main__":
    anyio.run(main)
