"""The program fails loudly and in order: its exit status is its own business."""
# healthy
import asyncio
import sys


async def flaky(number):
    await asyncio.sleep(0.01 * number)
    if number == 2:
        raise LookupError("number 2")


async def quit_later():
    await asyncio.sleep(0.05)
    sys.exit(7)


async def main():
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(flaky(number), name=f"flaky-{number}")
    except* LookupError as errors:
        print("failed:", errors.exceptions)
    waiter = asyncio.create_task(asyncio.sleep(60), name="waiter")
    leaver = asyncio.create_task(quit_later(), name="leaver")
    await asyncio.gather(waiter, leaver)


if __name__ == "__main__":
    asyncio.run(main())
