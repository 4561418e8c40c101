"""A cache miss returns before the scope entered above is left."""
# requires: anyio
# mention: look_up
import anyio

cache = {"a": "apple"}


async def look_up(key):
    scope = anyio.move_on_after(0.2)
    scope.__enter__()  # expect: scope_leaked
    await anyio.sleep(0.01)
    if key not in cache:
        return None
    scope.__exit__(None, None, None)
    return cache[key]


async def print_report(found):
    try:
        await anyio.sleep(0.5)
        print("report:", found)
    except BaseException as exc:
        print("report cut short:", type(exc).__name__)
        raise


async def serve(keys):
    found = [await look_up(key) for key in keys]
    await print_report(found)


async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(serve, ["a", "b"], name="server")


if __name__ == "__main__":
    try:
        anyio.run(main)
        print("ended well")
    except BaseException as exc:
        print("ended with", type(exc).__name__)
