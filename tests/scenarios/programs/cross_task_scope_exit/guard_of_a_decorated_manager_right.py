"""One handler enters the decorated context manager and leaves it."""
# healthy
import asyncio
import contextlib

import anyio


@contextlib.contextmanager
def patience(seconds):
    with anyio.move_on_after(seconds) as scope:
        yield scope


class Desk:
    def __init__(self):
        self.guards = {}

    async def borrow(self, name):
        guard = patience(30)
        with guard as scope:
            self.guards[name] = scope
            await asyncio.sleep(0.2)

    async def give_back(self, name):
        self.guards.pop(name).cancel()


async def main():
    desk = Desk()
    borrower = asyncio.create_task(desk.borrow("atlas"), name="borrower")
    await asyncio.sleep(0.05)
    await asyncio.create_task(desk.give_back("atlas"), name="returner")
    await borrower
    print("given back")


asyncio.run(main())
