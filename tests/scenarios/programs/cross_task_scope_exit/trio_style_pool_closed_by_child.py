"""On trio: a child of the nursery leaves the scope that its parent entered."""
# requires: anyio, trio
# mention: close_pool
import anyio


class Pool:
    def open(self):
        self.scope = anyio.CancelScope()
        self.scope.__enter__()

    def close(self):
        self.scope.__exit__(None, None, None)  # expect: cross_task_scope_exit


async def close_pool(pool):
    try:
        pool.close()  # expect: cross_task_scope_exit
        print("closed")
    except RuntimeError as exc:
        print("close failed:", type(exc).__name__)


async def main():
    pool = Pool()
    async with anyio.create_task_group() as group:
        pool.open()
        group.start_soon(close_pool, pool, name="pool-closer")
        await anyio.sleep(0.05)
        pool.scope.__exit__(None, None, None)
    print("done")


if __name__ == "__main__":
    anyio.run(main, backend="trio")
