"""A listener is called while the board is locked, and posts to the board."""
# mention: post, announce
import asyncio


class Board:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.messages = []
        self.listeners = []

    async def post(self, text):
        async with self.changed:  # expect: lock_reentry
            self.messages.append(text)
            for listener in self.listeners:
                await listener(text)
            self.changed.notify_all()


async def main():
    board = Board()

    async def announce(text):
        await asyncio.sleep(0.01)
        if "ready" in text:
            await board.post("let us begin")

    board.listeners.append(announce)
    posting = asyncio.create_task(board.post("all ready"), name="moderator")
    done, _ = await asyncio.wait([posting], timeout=1.2)
    print("posted:", bool(done), board.messages)
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
