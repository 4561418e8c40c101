import anyio


async def listen() -> None:
    await anyio.sleep(10)


async def main() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(listen, name="listener")
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()


anyio.run(main)
