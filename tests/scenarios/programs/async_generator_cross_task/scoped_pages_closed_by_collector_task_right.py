"""The deadline is inside each step, so that the pager may travel between tasks."""
# healthy
# requires: anyio
import asyncio

import anyio


async def pages(count):
    for number in range(count):
        with anyio.move_on_after(5):
            await anyio.sleep(0.001)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0.001)
        yield f"page {number}"


async def tidy_up(pagers):
    for pager in pagers:
        print("then", await anext(pager))
        await pager.aclose()


async def read_first():
    pager = pages(5)
    print(await anext(pager))
    return pager


async def main():
    pager = await asyncio.create_task(read_first(), name="first-reader")
    await asyncio.create_task(tidy_up([pager]), name="tidy-up")
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
