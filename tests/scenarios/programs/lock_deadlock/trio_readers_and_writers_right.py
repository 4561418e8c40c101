"""Both take the index first; many of them, on the trio backend."""
# healthy
# requires: anyio, trio
import anyio


async def read_page(index, page):
    async with index, page:
        await anyio.sleep(0.002)


async def write_page(index, page):
    async with index:
        await anyio.sleep(0.002)
    async with page:
        await anyio.sleep(0.002)


async def main():
    index, page = anyio.Lock(), anyio.Lock()
    with anyio.move_on_after(1.2) as scope:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(read_page, index, page, name="reader")
                group.start_soon(write_page, index, page, name="writer")
    print("stuck:", scope.cancelled_caught)


if __name__ == "__main__":
    anyio.run(main, backend="trio")
