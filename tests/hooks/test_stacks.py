"""Recorded stacks end with the task's own function, and not before."""

import asyncio

from tests.hooks.conftest import Install


def test_function_that_calls_itself_keeps_its_callers(install: Install) -> None:
    agent = install()
    stacks = []

    async def enter(left: int) -> None:
        if left:
            await between(left)
        else:
            async with asyncio.timeout(1):
                record = agent.world.tasks.current()
                assert record is not None
                assert record.scopes
                stacks.append([code.co_name for code, _ in record.scopes[0].stack])
                await asyncio.sleep(0)

    async def between(left: int) -> None:
        await enter(left - 1)

    asyncio.run(enter(2))
    assert stacks == [["enter", "between", "enter", "between", "enter"]]


def test_stack_of_a_task_ends_with_its_creators_function(install: Install) -> None:
    agent = install()

    async def child() -> list[str]:
        record = agent.world.tasks.current()
        assert record is not None
        return [code.co_name for code, _ in record.stack]

    async def helper() -> list[str]:
        return await asyncio.create_task(child())

    async def main() -> list[str]:
        return await helper()

    assert asyncio.run(main())[-2:] == ["helper", "main"]
