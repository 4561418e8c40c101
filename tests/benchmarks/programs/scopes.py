"""Cancel scopes and deadlines, entered and left; and deadlines that expire."""

import asyncio

import anyio


async def anyio_scope(count: int) -> int:
    entered = 0
    for _ in range(count):
        with anyio.CancelScope(), anyio.move_on_after(60), anyio.fail_after(60):  # noqa: ASYNC100 - entering is what is measured
            entered += 1
    return entered


async def timeout(count: int) -> int:
    entered = 0
    for _ in range(count):
        async with asyncio.timeout(60), asyncio.timeout(None):  # noqa: ASYNC100 - see above
            entered += 1
    return entered


async def expired(count: int) -> int:
    caught = 0
    for _ in range(count):
        with anyio.move_on_after(0) as scope:
            await anyio.sleep(60)
        caught += scope.cancelled_caught
    return caught
