"""Another loop is made and never runs; the future that is awaited belongs to the one that does."""
# healthy
import asyncio


async def main():
    other = asyncio.new_event_loop()
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_soon(answer.set_result, 42)
    print(await answer)
    other.close()


if __name__ == "__main__":
    asyncio.run(main())
