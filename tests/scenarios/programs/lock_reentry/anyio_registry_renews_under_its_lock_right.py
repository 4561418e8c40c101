"""The inner method expects the lock to be held; one lock per registry, many registries."""
# healthy
# requires: anyio
import anyio


class Registry:
    def __init__(self, parent=None):
        self.lock = anyio.Lock()
        self.leases = {}
        self.parent = parent

    def _renew(self, name):
        self.leases[name] = self.leases.get(name, 0) + 1

    async def renew(self, name):
        async with self.lock:
            self._renew(name)
            if self.parent:
                await self.parent.renew(name)

    async def register(self, name):
        async with self.lock:
            await anyio.sleep(0.001)
            self._renew(name)
        async with self.lock:
            self._renew(name)


async def main():
    top = Registry()
    middle = Registry(Registry(top))
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(middle.renew, "printer")
            group.start_soon(top.register, "screen")
    print("registered", top.leases)


if __name__ == "__main__":
    anyio.run(main)
