"""Recorded stacks end with the task's own function, and not before."""

import asyncio
import sys

from autoinstrument.places import capture_flat
from autoinstrument.records import pairs
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


def test_stack_like_the_one_before_is_told_from_one_that_only_begins_like_it(
    install: Install,
) -> None:
    """The last stack serves for the next task only if every frame stands where it stood."""
    agent = install()
    made: list[tuple[list[tuple[str, int]], list[tuple[str, int]]]] = []

    async def child() -> None:
        pass

    async def below(levels: int) -> None:
        if levels:
            await below(levels - 1)
            return
        me = agent.world.tasks.current()
        task = asyncio.create_task(child())
        here = pairs(capture_flat(sys._getframe(), 8, me))
        record = agent.world.tasks.live[id(task)]
        await task
        lasting = [(code.co_name, at) for code, at in record.stack if code is not create_task]
        made.append((lasting[1:], [(code.co_name, at) for code, at in here][1:]))

    async def main() -> None:
        for levels in (1, 1, 2, 3, 3, 2, 0, 1):
            await below(levels)
        await below(1)  # the same functions below another line
        await below(0)
        await below(0)
        # tasks of the function that calls itself; each makes its child before the next one runs
        await asyncio.wait([asyncio.create_task(below(levels)) for levels in (0, 1, 2, 1, 0)])

    create_task = asyncio.create_task.__code__
    asyncio.run(main())
    assert len(made) == 16
    assert [stack for stack, _ in made] == [expected for _, expected in made]
    assert made[7][0] != made[8][0]
    assert made[9][0] != made[10][0]


def test_tasks_made_one_after_the_other_share_their_stack(install: Install) -> None:
    agent = install()
    live = agent.world.tasks.live

    async def child() -> None:
        pass

    async def deep(levels: int) -> list[object]:
        if levels:
            return await deep(levels - 1)
        tasks = [asyncio.create_task(child()) for _ in range(3)]
        stacks = [live[id(task)].flat_stack for task in tasks]
        await asyncio.wait(tasks)
        assert len(stacks[0]) >= 2
        return list(stacks)

    async def main(levels: int) -> None:
        first, *others = await deep(levels) if levels else await asyncio.create_task(deep(0))
        assert all(stack is first for stack in others)

    for levels in (0, 1, 2, 3):
        asyncio.run(main(levels))
