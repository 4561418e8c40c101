"""Coroutines handed through lists, lambdas and conditions, all of them awaited in the end."""
# healthy
# requires: anyio
import anyio

attempts = []


async def call():
    attempts.append(anyio.current_time())
    if len(attempts) < 3:
        raise ConnectionError
    return "answer"


async def call_with_retry(pause):
    for _ in range(3):
        try:
            return await call()
        except ConnectionError:
            waiting = pause(0.05)
            await waiting


async def main():
    print(await call_with_retry(lambda seconds: anyio.sleep(seconds)))
    print("after a pause:", attempts[-1] - attempts[0] > 0.09)
    pending = [anyio.sleep(0.001) for _ in range(3)]
    while pending:
        await pending.pop()


if __name__ == "__main__":
    anyio.run(main)
