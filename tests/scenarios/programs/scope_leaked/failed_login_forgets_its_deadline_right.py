"""The deadline is kept open after a good login only, and closed by logout()."""
# healthy
import asyncio
from contextlib import AsyncExitStack


class Session:
    async def login(self, password):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(0.3))
            await self.check(password)
            self.stack = stack.pop_all()

    async def logout(self):
        await self.stack.aclose()

    async def check(self, password):
        await asyncio.sleep(0.01)
        if password != "secret":
            raise PermissionError("wrong password")


async def handle_visitor():
    try:
        await Session().login("guess")
    except PermissionError as exc:
        print("login failed:", exc)
    await asyncio.sleep(0.4)
    print("public page shown")
    session = Session()
    await session.login("secret")
    await asyncio.sleep(0.1)
    await session.logout()
    print("logged out")


async def main():
    await asyncio.gather(asyncio.create_task(handle_visitor(), name="visitor"))


if __name__ == "__main__":
    asyncio.run(main())
