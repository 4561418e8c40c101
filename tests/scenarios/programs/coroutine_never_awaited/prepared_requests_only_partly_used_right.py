"""What was prepared and is not needed is closed."""
# healthy
import asyncio


async def ask(mirror):
    await asyncio.sleep(0.005)
    if "bad" in mirror:
        raise ConnectionError(mirror)
    return f"answer of {mirror}"


async def first_answer(mirrors):
    requests = [ask(mirror) for mirror in mirrors]
    try:
        for request in requests:
            try:
                return await request
            except ConnectionError as exc:
                print("no answer from", exc)
    finally:
        for request in requests:
            request.close()


async def main():
    print(await first_answer(["bad-mirror", "good-mirror", "spare-mirror"]))


if __name__ == "__main__":
    asyncio.run(main())
