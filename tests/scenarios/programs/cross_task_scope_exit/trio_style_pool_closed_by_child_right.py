"""On trio: children cancel and move the scope of their parent, which alone leaves it."""
# healthy
# requires: anyio, trio
import anyio


async def cancel_pool(scope, seconds):
    await anyio.sleep(seconds)
    scope.cancel()


async def main():
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_pool, scope, 0.05, name="pool-closer")
            await anyio.sleep_forever()
        print("cancelled by child:", scope.cancelled_caught)
        with anyio.move_on_after(1) as scope:
            scope.deadline = anyio.current_time() + 0.05
            await anyio.sleep_forever()
        print("expired:", scope.cancelled_caught)


if __name__ == "__main__":
    anyio.run(main, backend="trio")
