"""A search returns what it has when cancelled, and fail_after() does not fail."""
# requires: anyio
# mention: search
import anyio


async def search(words):
    hits = []
    try:  # expect: cancellation_swallowed
        for word in words:
            await anyio.sleep(0.05)  # expect: cancellation_swallowed
            hits.append(word.upper())
    except BaseException:  # expect: cancellation_swallowed
        hits.append("...")  # expect: cancellation_swallowed
    return hits


async def main():
    try:
        with anyio.fail_after(0.12):
            hits = await search(["one", "two", "three", "four", "five"])
        print("complete:", hits)
    except TimeoutError:
        print("took too long")


if __name__ == "__main__":
    anyio.run(main)
