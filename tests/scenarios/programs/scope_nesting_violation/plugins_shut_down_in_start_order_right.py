"""The same plugins, stopped in reverse order; a failing one does not disturb the rest."""
# healthy
# requires: anyio
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def plugin(name):
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever, name=f"{name}-loop")
        try:
            yield name
        finally:
            group.cancel_scope.cancel()


class Host:
    def __init__(self, names):
        self.plugins = [plugin(name) for name in names]

    async def start_all(self):
        return [await each.__aenter__() for each in self.plugins]

    async def stop_all(self):
        while self.plugins:
            await self.plugins.pop().__aexit__(None, None, None)


async def main():
    host = Host(["search", "mail", "calendar"])
    print("started", await host.start_all())
    await host.stop_all()
    async with plugin("outer"):
        try:
            async with plugin("inner"):
                raise LookupError("inner")
        except* LookupError:
            print("inner failed, outer goes on")
    print("stopped")


if __name__ == "__main__":
    anyio.run(main)
