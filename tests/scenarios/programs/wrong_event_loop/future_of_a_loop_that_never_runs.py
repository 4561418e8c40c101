"""A future is made by a loop that never runs, and awaited in another one, which catches the error."""
# mention: main
import asyncio


async def main():
    other = asyncio.new_event_loop()
    answer = other.create_future()
    try:
        await answer  # expect: wrong_event_loop
    except RuntimeError as exc:
        print("different loop" in str(exc))
    other.close()


if __name__ == "__main__":
    asyncio.run(main())
