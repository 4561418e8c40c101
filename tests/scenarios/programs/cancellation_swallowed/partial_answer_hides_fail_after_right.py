"""Partial answers are handed out through the argument, the cancellation goes its way."""
# healthy
# requires: anyio
import anyio


async def search(words, hits):
    try:
        for word in words:
            await anyio.sleep(0.05)
            hits.append(word.upper())
    except BaseException:
        hits.append("...")
        raise


async def search_for(words, seconds):
    hits = []
    with anyio.move_on_after(seconds) as scope:
        await search(words, hits)
    return hits, scope.cancelled_caught


async def main():
    hits = []
    try:
        with anyio.fail_after(0.12):
            await search(["one", "two", "three", "four", "five"], hits)
        print("complete:", hits)
    except TimeoutError:
        print("took too long, got", hits[-1])
    hits, cut = await search_for(["one", "two", "three", "four"], 0.12)
    print("cut short:", cut, hits[-1])


if __name__ == "__main__":
    anyio.run(main)
