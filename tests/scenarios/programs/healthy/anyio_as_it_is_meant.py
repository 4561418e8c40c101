"""anyio: scopes, streams, limiters, threads, portals and events as they are meant."""
# healthy
import anyio
import anyio.from_thread
import anyio.to_thread


async def produce(stream):
    async with stream:
        for n in range(20):
            await stream.send(n)


async def consume(stream, seen):
    async with stream:
        async for n in stream:
            seen.append(n)


async def poll(ready):
    with anyio.move_on_after(0.05):
        await anyio.sleep_forever()
    ready.set()


def blocking():
    return anyio.from_thread.run(anyio.sleep, 0.01)


async def main():
    seen, ready = [], anyio.Event()
    limiter, lock = anyio.CapacityLimiter(2), anyio.Lock()
    async with anyio.create_task_group() as group:
        send, receive = anyio.create_memory_object_stream(3)
        group.start_soon(produce, send)
        group.start_soon(consume, receive, seen)
        group.start_soon(poll, ready)
        await ready.wait()
        for _ in range(4):
            group.start_soon(lambda: anyio.to_thread.run_sync(blocking, limiter=limiter))
        async with lock:
            await anyio.sleep(0.01)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        with anyio.move_on_after(0.02) as scope:
            async with anyio.create_task_group() as inner:
                for _ in range(3):
                    inner.start_soon(anyio.sleep, 5)
    print(sum(seen), scope.cancelled_caught)
    try:
        with anyio.fail_after(0.05):
            await anyio.sleep(1)
    except TimeoutError:
        print("timeout")
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()


anyio.run(main)
with anyio.from_thread.start_blocking_portal() as portal:
    portal.call(anyio.sleep, 0.01)
    future = portal.start_task_soon(anyio.sleep, 0.02)
    future.result()
    print("portal")
