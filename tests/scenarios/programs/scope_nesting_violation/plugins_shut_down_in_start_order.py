"""Plugins are asynccontextmanagers with task groups, stopped in the order they were started."""
# requires: anyio
# mention: stop_all
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def plugin(name):
    async with anyio.create_task_group() as group:  # expect: scope_nesting_violation
        group.start_soon(anyio.sleep_forever, name=f"{name}-loop")
        yield name
        group.cancel_scope.cancel()


class Host:
    def __init__(self, names):
        self.plugins = [plugin(name) for name in names]

    async def start_all(self):
        return [await each.__aenter__() for each in self.plugins]

    async def stop_all(self):
        for each in self.plugins:
            await each.__aexit__(None, None, None)  # expect: scope_nesting_violation


async def main():
    host = Host(["search", "mail"])
    print("started", await host.start_all())
    try:
        await host.stop_all()
        print("stopped")
    except BaseException as exc:
        print("stop failed:", type(exc).__name__)


if __name__ == "__main__":
    try:
        anyio.run(main)
    except BaseException as exc:
        print("ended with", type(exc).__name__)
