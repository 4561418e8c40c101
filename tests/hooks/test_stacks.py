"""Recorded stacks end with the task's own function, and not before."""

import asyncio
import socket
import sys
from functools import partial
from typing import Any

from autoinstrument.places import capture_flat
from autoinstrument.records import FlatStack, pairs
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


async def _nothing() -> None:
    pass


def test_stack_of_a_callback_is_told_from_one_that_only_begins_like_it(install: Install) -> None:
    """The same where no task runs, through `asyncio.create_task()` as well."""
    agent = install()
    made: list[tuple[FlatStack, FlatStack]] = []

    def below(levels: int, *, by_function: bool = False) -> None:
        if levels:
            below(levels - 1, by_function=by_function)
            return
        loop = asyncio.get_running_loop()
        create_task: Any = asyncio.create_task if by_function else loop.create_task
        task = create_task(_nothing())
        stack = agent.world.tasks.live[id(task)].flat_stack
        made.append((stack[2:], capture_flat(sys._getframe(), 8)[2:]))

    def elsewhere(levels: int) -> None:
        below(levels)

    def alike(levels: int) -> None:
        below(levels)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for levels in (1, 1, 2, 3, 3, 2, 0, 1, 1):
            loop.call_soon(below, levels)
        for function in (elsewhere, elsewhere, alike, alike, elsewhere):
            loop.call_soon(function, 0)
        for levels in (1, 0, 0, 9, 9, 10, 8, 7, 6):  # with more frames than are kept
            loop.call_soon(partial(below, levels, by_function=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert len(made) == 23
    assert [stack for stack, _ in made] == [expected for _, expected in made]


def test_stack_of_a_protocol_ends_with_its_own_method_and_is_shared(install: Install) -> None:
    """Tasks of a web server, made in turns with those that its requests make."""
    agent = install()
    stacks: list[FlatStack] = []
    children: list[FlatStack] = []

    class Server(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            for _ in data:
                self.answer()

        def answer(self) -> None:
            task = asyncio.get_running_loop().create_task(self.work())
            stacks.append(agent.world.tasks.live[id(task)].flat_stack)

        async def work(self) -> None:
            task = asyncio.get_running_loop().create_task(_nothing())
            children.append(agent.world.tasks.live[id(task)].flat_stack)
            await task
            if len(children) >= 6:
                done.set()
            else:
                theirs.send(b".")

    done = asyncio.Event()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(Server, ours)
        theirs.send(b"..")
        async with asyncio.timeout(10):
            await done.wait()
        transport.close()

    with theirs:
        asyncio.run(main())
    names = [[code.co_name for code, _ in pairs(stack)] for stack in stacks]
    assert names == [["answer", "data_received"]] * len(stacks)
    assert all(stack is stacks[0] for stack in stacks)
    assert all(stack is children[0] for stack in children)
