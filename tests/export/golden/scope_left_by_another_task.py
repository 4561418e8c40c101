import asyncio
from contextlib import AsyncExitStack, suppress

import anyio


async def close(stack: AsyncExitStack) -> None:
    with suppress(RuntimeError):
        await stack.aclose()


async def main() -> None:
    stack = AsyncExitStack()
    stack.enter_context(anyio.CancelScope())
    await asyncio.create_task(close(stack), name="closing")


asyncio.run(main())
