"""Every path leaves the scope, also when it is entered by hand or expires."""
# healthy
# requires: anyio
import sys

import anyio

cache = {"a": "apple"}


async def look_up(key):
    with anyio.move_on_after(0.2):
        await anyio.sleep(0.01)
        if key not in cache:
            return None
        return cache[key]


async def look_up_by_hand(key):
    scope = anyio.move_on_after(0.05)
    scope.__enter__()
    try:
        await anyio.sleep(1 if key is None else 0.01)
    except BaseException:
        if not scope.__exit__(*sys.exc_info()):
            raise
        return "expired"
    scope.__exit__(None, None, None)
    return cache[key]


async def serve(keys):
    found = [await look_up(key) for key in keys]
    found += [await look_up_by_hand(key) for key in ("a", None)]
    await anyio.sleep(0.3)
    print("report:", found)


async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(serve, ["a", "b"], name="server")


if __name__ == "__main__":
    anyio.run(main)
    print("ended well")
