"""A decorator enters a deadline for each attempt and forgets to leave it when one fails."""
# mention: attempts
import asyncio
import functools


def attempts(count):
    def decorate(function):
        @functools.wraps(function)
        async def run(*args):
            for _ in range(count):
                deadline = asyncio.timeout(30)
                await deadline.__aenter__()  # expect: scope_leaked
                try:
                    result = await function(*args)
                except OSError:
                    continue
                await deadline.__aexit__(None, None, None)
                return result
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
