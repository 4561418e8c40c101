"""A notebook-like program: tasks stay pending while the loop rests, and finish later."""
# healthy
import asyncio
import time


async def download(name, seconds):
    await asyncio.sleep(seconds)
    return f"{name} loaded"


async def start(names):
    return {name: asyncio.create_task(download(name, 0.05), name=name) for name in names}


async def rows():
    for number in range(5):
        await asyncio.sleep(0.001)
        yield number


async def next_row(source):
    return await anext(source, "end")


def main():
    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(start(["a", "b", "c"]))
    time.sleep(0.4)
    print(loop.run_until_complete(tasks["b"]))
    source = rows()
    print([loop.run_until_complete(next_row(source)) for _ in range(6)])
    print(loop.run_until_complete(asyncio.wait_for(tasks["a"], 1)), tasks["c"].done())
    loop.run_until_complete(tasks["c"])
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


if __name__ == "__main__":
    main()
