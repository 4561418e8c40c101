"""A test suite under the anyio plugin, on asyncio and trio; fixtures hold task groups open."""
# healthy
# requires: pytest, anyio, trio
import contextlib
import io
import os
import sys

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
async def bus():
    send, receive = anyio.create_memory_object_stream(5)
    seen = []

    async def collect():
        async for item in receive:
            seen.append(item)

    async with anyio.create_task_group() as group:
        group.start_soon(collect, name="collector")
        with send, receive:
            yield send, seen
        group.cancel_scope.cancel()


@pytest.fixture
async def deadline():
    with anyio.fail_after(5) as scope:
        yield scope


async def test_bus(bus, deadline):
    send, seen = bus
    for number in range(4):
        await send.send(number)
    await anyio.wait_all_tasks_blocked()
    assert seen == [0, 1, 2, 3]


async def test_deadline(deadline):
    await anyio.sleep(0.01)
    assert not deadline.cancel_called


async def test_lock_and_event():
    lock, event = anyio.Lock(), anyio.Event()

    async def wait():
        async with lock:
            await event.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert lock.locked()
        event.set()


async def test_expiry():
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.01):
            await anyio.sleep_forever()


if __name__ == "__main__":
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main([__file__, "-q", "-c", os.devnull, "-p", "no:cacheprovider", "-p", "no:asyncio"])
    print("passed:", "8 passed" in output.getvalue())
    sys.exit(int(code))
