"""A token stream with a timeout around its yield is left early and finalised by the loop."""
# mention: tokens
# mention[async_generator_not_closed]: tokens, first_sentence
import asyncio


async def tokens(text):
    async with asyncio.timeout(5):  # expect: cross_task_scope_exit
        for word in text.split():
            await asyncio.sleep(0.001)
            yield word  # expect: cross_task_scope_exit


async def first_sentence(text):
    words = []
    async for word in tokens(text):  # expect: cross_task_scope_exit, async_generator_not_closed
        words.append(word)
        if word.endswith("."):  # expect: async_generator_not_closed
            return " ".join(words)  # expect: async_generator_not_closed


async def main():
    print(await first_sentence("It works. Or so it seems. Does it?"))
    await asyncio.sleep(0.05)
    print("bye")


if __name__ == "__main__":
    asyncio.run(main())
