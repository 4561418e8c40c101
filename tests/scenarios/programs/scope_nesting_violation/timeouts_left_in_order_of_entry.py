"""Two asyncio timeouts of one task are left first in, first out; nothing complains."""
# mention: transfer
import asyncio
from contextlib import AsyncExitStack


async def transfer(amount):
    overall, first_byte = asyncio.timeout(1), asyncio.timeout(0.1)
    await overall.__aenter__()
    await first_byte.__aenter__()
    await asyncio.sleep(0.01)
    await overall.__aexit__(None, None, None)  # expect: scope_nesting_violation
    async with AsyncExitStack():
        await asyncio.sleep(0.01)
    await first_byte.__aexit__(None, None, None)
    return f"{amount} transferred"


async def main():
    print(await transfer(5))


if __name__ == "__main__":
    asyncio.run(main())
