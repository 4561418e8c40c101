"""A login enters a timeout by hand; when it fails nobody leaves it, and it fires later."""
# mention: login
import asyncio


class Session:
    async def login(self, password):
        self.deadline = asyncio.timeout(0.3)
        await self.deadline.__aenter__()  # expect: scope_leaked
        await self.check(password)
        await self.deadline.__aexit__(None, None, None)

    async def check(self, password):
        await asyncio.sleep(0.01)
        if password != "secret":
            raise PermissionError("wrong password")


async def handle_visitor():
    try:
        await Session().login("guess")
    except PermissionError as exc:
        print("login failed:", exc)
    try:
        await asyncio.sleep(0.6)
        print("public page shown")
    except asyncio.CancelledError:
        print("the public page was cancelled by nobody")


async def main():
    await asyncio.gather(asyncio.create_task(handle_visitor(), name="visitor"))


if __name__ == "__main__":
    asyncio.run(main())
