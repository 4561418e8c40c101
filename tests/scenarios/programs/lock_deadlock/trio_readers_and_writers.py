"""The same two-lock circle on the trio backend."""
# requires: anyio, trio
# mention: read_page, write_page
import anyio


async def read_page(index, page):
    async with index:
        await anyio.sleep(0.02)
        async with page:  # expect: lock_deadlock
            return


async def write_page(index, page):
    async with page:
        await anyio.sleep(0.02)
        async with index:  # expect: lock_deadlock
            return


async def main():
    index, page = anyio.Lock(), anyio.Lock()
    with anyio.move_on_after(1.2) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(read_page, index, page, name="reader")
            group.start_soon(write_page, index, page, name="writer")
    print("stuck:", scope.cancelled_caught)


if __name__ == "__main__":
    anyio.run(main, backend="trio")
