"""anyio refuses the second request for the registry's lock."""
# requires: anyio
# mention: renew, register
import anyio


class Registry:
    def __init__(self):
        self.lock = anyio.Lock()
        self.leases = {}

    async def renew(self, name):
        async with self.lock:  # expect: lock_reentry
            self.leases[name] = self.leases.get(name, 0) + 1

    async def register(self, name):
        async with self.lock:
            if name not in self.leases:
                await anyio.sleep(0.01)
            await self.renew(name)


async def main():
    registry = Registry()
    try:
        await registry.register("printer")
        print("registered", registry.leases)
    except RuntimeError as exc:
        print("not registered:", type(exc).__name__)


if __name__ == "__main__":
    anyio.run(main)
