"""The inner deadline is given up by rescheduling it; both are left in reverse order."""
# healthy
import asyncio
from contextlib import AsyncExitStack


async def transfer(amount):
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(1))
        first_byte = await stack.enter_async_context(asyncio.timeout(0.02))
        await asyncio.sleep(0.01)
        first_byte.reschedule(None)
        await asyncio.sleep(0.03)
        return f"{amount} transferred"


async def impatient():
    overall, step = asyncio.timeout(1), asyncio.timeout(0.02)
    await overall.__aenter__()
    await step.__aenter__()
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError as exc:
        try:
            await step.__aexit__(type(exc), exc, exc.__traceback__)
        except TimeoutError:
            print("step expired")
    await overall.__aexit__(None, None, None)


async def main():
    print(await transfer(5))
    await impatient()


if __name__ == "__main__":
    asyncio.run(main())
