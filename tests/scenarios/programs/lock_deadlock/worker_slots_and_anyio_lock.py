"""Exports take a worker slot and want the archive; the sweeper has it and wants a slot."""
# requires: anyio
# mention: export, sweeper, CapacityLimiter
import anyio


class Archive:
    def __init__(self):
        self.slots = anyio.CapacityLimiter(2)
        self.index = anyio.Lock()

    async def export(self, name):
        async with self.slots:
            await anyio.sleep(0.05)
            async with self.index:  # expect: lock_deadlock
                return name

    async def sweep(self):
        async with self.index:
            await anyio.sleep(0.1)
            async with self.slots:  # expect: lock_deadlock
                return "swept"


async def main():
    archive = Archive()
    with anyio.move_on_after(1.3) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(archive.export, "a.csv", name="export-a")
            group.start_soon(archive.export, "b.csv", name="export-b")
            group.start_soon(archive.sweep, name="sweeper")
    print("given up:", scope.cancelled_caught)


if __name__ == "__main__":
    anyio.run(main)
