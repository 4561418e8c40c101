"""The decorator leaves each attempt's deadline, however the attempt ends."""
# healthy
import asyncio
import functools


def attempts(count):
    def decorate(function):
        @functools.wraps(function)
        async def run(*args):
            for _ in range(count):
                try:
                    async with asyncio.timeout(30):
                        return await function(*args)
                except OSError:
                    continue
            return None

        return run

    return decorate


calls = []


@attempts(3)
async def fetch(name):
    await asyncio.sleep(0.01)
    calls.append(name)
    if len(calls) < 3:
        raise OSError("connection refused")
    return name


async def main():
    print(await fetch("page"))
    await asyncio.sleep(0.1)


asyncio.run(main())
