"""A context manager made by a decorator is entered by one handler and left by another."""
# mention: borrow, give_back
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
        guard.__enter__()
        self.guards[name] = guard
        await asyncio.sleep(0.01)

    async def give_back(self, name):
        self.guards.pop(name).__exit__(None, None, None)  # expect: cross_task_scope_exit


async def main():
    desk = Desk()
    await asyncio.create_task(desk.borrow("atlas"), name="borrower")
    try:
        await asyncio.create_task(desk.give_back("atlas"), name="returner")
    except RuntimeError:
        print("refused")


asyncio.run(main())
