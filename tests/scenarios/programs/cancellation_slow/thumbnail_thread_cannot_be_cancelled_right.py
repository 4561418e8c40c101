"""The thread is told to stop, or abandoned; both scopes are left at once."""
# healthy
# requires: anyio
import threading
import time

import anyio


def render(size, stop):
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline and not stop.is_set():
        time.sleep(0.01)
    return size


async def make_thumbnail(size):
    stop = threading.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(stop_with_scope, stop)
        await anyio.to_thread.run_sync(render, size, stop)
        group.cancel_scope.cancel()


async def stop_with_scope(stop):
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


async def make_thumbnail_or_not(size):
    stop = threading.Event()
    await anyio.to_thread.run_sync(render, size, stop, abandon_on_cancel=True)


async def main():
    for job in (make_thumbnail, make_thumbnail_or_not):
        started = time.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(job, 64, name="thumbnail")
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        print("left more than a second later:", time.monotonic() - started > 1.1)


if __name__ == "__main__":
    anyio.run(main)
