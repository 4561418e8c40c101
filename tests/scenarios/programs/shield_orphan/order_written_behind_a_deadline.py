"""wait_for() protects the database write by shield(), then forgets about it."""
# mention: checkout, write_order
import asyncio

written, closed = [], []


async def write_order(number):
    await asyncio.sleep(0.3)
    written.append(f"order {number}{' after close' if closed else ''}")


async def checkout(number):
    try:
        await asyncio.wait_for(asyncio.shield(write_order(number)), 0.1)  # expect: shield_orphan
        return "ordered"
    except TimeoutError:
        return "please try again"


async def main():
    print(await checkout(7))
    closed.append(True)
    await asyncio.sleep(0.4)
    print(written)


if __name__ == "__main__":
    asyncio.run(main())
