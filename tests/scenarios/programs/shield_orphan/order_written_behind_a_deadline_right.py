"""The write is kept in a set and awaited before the end, whatever the customer was told."""
# healthy
import asyncio

written, writes = [], set()


async def write_order(number):
    await asyncio.sleep(0.2)
    written.append(f"order {number}")


async def checkout(number):
    write = asyncio.create_task(write_order(number), name=f"write-{number}")
    writes.add(write)
    try:
        await asyncio.wait_for(asyncio.shield(write), 0.1)
        return "ordered"
    except TimeoutError:
        return "order is being processed"


async def checkout_patiently(number):
    write = asyncio.ensure_future(write_order(number))
    try:
        async with asyncio.timeout(0.1):
            await asyncio.shield(write)
    except TimeoutError:
        await write
    return "ordered"


async def checkout_in_time(number):
    return await asyncio.wait_for(asyncio.shield(write_order(number)), 5)


async def main():
    print(await checkout(7))
    print(await checkout_patiently(8))
    await checkout_in_time(9)
    await asyncio.gather(*writes)
    print(written)


if __name__ == "__main__":
    asyncio.run(main())
