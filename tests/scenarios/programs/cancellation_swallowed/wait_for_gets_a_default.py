"""The awaited coroutine turns the cancellation of wait_for into a default value."""
# mention: lookup
import asyncio


async def lookup(key):
    try:
        await asyncio.sleep(5)  # expect: cancellation_swallowed
    except asyncio.CancelledError:  # expect: cancellation_swallowed
        return "default"


async def main():
    print(await asyncio.wait_for(lookup("a"), 0.1))


asyncio.run(main())
