"""The caller of wait_for turns the expiry of the deadline into a default value."""
# healthy
import asyncio


async def lookup(key):
    try:
        await asyncio.sleep(5 if key == "a" else 0.01)
        return key
    finally:
        await asyncio.sleep(0.01)


async def main():
    print(await asyncio.wait_for(lookup("b"), 10))
    try:
        print(await asyncio.wait_for(lookup("a"), 0.1))
    except TimeoutError:
        print("default")


asyncio.run(main())
