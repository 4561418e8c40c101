"""All known holders look stuck, but one slot is lent to an object and comes back."""
# healthy
# requires: anyio
import anyio


class Archive:
    def __init__(self):
        self.slots = anyio.CapacityLimiter(2)
        self.index = anyio.Lock()

    async def export(self, name):
        async with self.slots:
            await anyio.sleep(0.05)
            async with self.index:
                return name

    async def sweep(self):
        async with self.index:
            await anyio.sleep(0.1)
            async with self.slots:
                return "swept"


async def main():
    archive, request = Archive(), object()
    await archive.slots.acquire_on_behalf_of(request)
    with anyio.move_on_after(3) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(archive.export, "a.csv", name="export-a")
            group.start_soon(archive.sweep, name="sweeper")
            await anyio.sleep(0.7)
            archive.slots.release_on_behalf_of(request)
    print("given up:", scope.cancelled_caught, archive.slots.borrowed_tokens)


if __name__ == "__main__":
    anyio.run(main)
