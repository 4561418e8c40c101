"""Two hundred requests at a time, each of which computes for two milliseconds between awaits.

The loop comes round to each of them rarely, but none keeps it.
"""
# healthy
import asyncio
import time


def render():
    end = time.thread_time() + 0.002
    while time.thread_time() < end:
        pass


async def answer(number):
    render()
    await asyncio.sleep(0)
    render()
    return number


async def main():
    for _ in range(2):
        answers = await asyncio.gather(*(answer(number) for number in range(200)))
    print(sum(answers))


if __name__ == "__main__":
    asyncio.run(main())
