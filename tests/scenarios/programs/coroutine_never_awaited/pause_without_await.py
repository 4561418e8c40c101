"""A pause between two retries was written without `await`; the function belongs to anyio."""
# requires: anyio
# mention: call_with_retry, sleep
import anyio

attempts = []


async def call():
    attempts.append(anyio.current_time())
    if len(attempts) < 3:
        raise ConnectionError
    return "answer"


async def call_with_retry():
    for _ in range(3):
        try:
            return await call()
        except ConnectionError:
            anyio.sleep(0.2)  # expect: coroutine_never_awaited


async def main():
    print(await call_with_retry(), "after a pause:", attempts[-1] - attempts[0] > 0.1)


if __name__ == "__main__":
    anyio.run(main)
