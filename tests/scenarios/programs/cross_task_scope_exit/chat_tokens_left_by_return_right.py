"""The stream is closed where it is used, and other streams are read to their end."""
# healthy
import asyncio
from contextlib import aclosing


async def tokens(text):
    async with asyncio.timeout(5):
        for word in text.split():
            await asyncio.sleep(0.001)
            yield word


async def first_sentence(text):
    words = []
    async with aclosing(tokens(text)) as stream:
        async for word in stream:
            words.append(word)
            if word.endswith("."):
                return " ".join(words)


async def main():
    print(await first_sentence("It works. Or so it seems. Does it?"))
    print(len([word async for word in tokens("read to the very end")]))
    stream = tokens("one two three")
    try:
        async for word in stream:
            if word == "two":
                await stream.athrow(KeyError(word))
    except KeyError:
        print("thrown out")


if __name__ == "__main__":
    asyncio.run(main())
