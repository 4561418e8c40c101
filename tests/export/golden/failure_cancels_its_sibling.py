import asyncio


async def broken() -> None:
    await asyncio.sleep(0)
    raise ValueError("secret of the user")


async def sleeper() -> None:
    await asyncio.sleep(10)


async def main() -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper(), name="sleeper")
            group.create_task(broken(), name="broken")
    except* ValueError:
        pass


asyncio.run(main())
