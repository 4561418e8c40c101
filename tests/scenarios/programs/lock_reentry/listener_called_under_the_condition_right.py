"""Listeners are called when the board is free again, or post from tasks of their own."""
# healthy
import asyncio


class Board:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.messages = []
        self.listeners = []

    async def post(self, text):
        async with self.changed:
            self.messages.append(text)
            self.changed.notify_all()
        for listener in self.listeners:
            await listener(text)

    async def post_twice(self, text):
        permits = asyncio.Semaphore(2)
        async with permits:
            await self.post(text)
            async with permits:
                await self.post(text)


async def main():
    board, followers = Board(), []

    async def announce(text):
        await asyncio.sleep(0.01)
        if "ready" in text:
            await board.post("let us begin")

    async def follow(text):
        if "begin" in text:
            async with board.changed:
                followers.append(asyncio.create_task(board.post("me too"), name="follower"))
                await asyncio.sleep(0.01)

    board.listeners += [announce, follow]
    async with asyncio.timeout(1.2):
        await board.post("all ready")
        await board.post_twice("again")
        await asyncio.gather(*followers)
    print(board.messages)


if __name__ == "__main__":
    asyncio.run(main())
