"""A pager keeps an anyio scope open across its yields; a tidy-up task closes it."""
# requires: anyio
# mention: pages
import asyncio

import anyio


async def pages(count):
    with anyio.move_on_after(5):  # expect: cross_task_scope_exit
        for number in range(count):
            await anyio.sleep(0.001)
            yield f"page {number}"  # expect: cross_task_scope_exit


async def tidy_up(pagers):
    for pager in pagers:
        try:
            await pager.aclose()  # expect: async_generator_cross_task, cross_task_scope_exit
        except RuntimeError as exc:
            print("tidy-up failed:", type(exc).__name__)


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
