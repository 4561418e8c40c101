"""Where a suspended task is parked, read from outside."""

import asyncio
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from autoinstrument import stacks


async def down(steps: int, last: Any) -> None:
    if steps:
        await down(steps - 1, last)
    else:
        await last()


async def waits() -> None:
    await asyncio.get_running_loop().create_future()


class ByHand:
    """An awaitable whose iterator is a generator."""

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from asyncio.get_running_loop().create_future()


@types.coroutine
def old_style() -> Generator[Any, Any, Any]:
    yield from asyncio.get_running_loop().create_future()


async def by_hand() -> None:
    await ByHand()


async def items() -> AsyncIterator[int]:
    await asyncio.get_running_loop().create_future()
    yield 1


async def iterates() -> None:
    async for _ in items():
        pass


@pytest.mark.parametrize("steps", range(9))
@pytest.mark.parametrize(
    ("last", "inside"),
    [
        (waits, ["waits"]),
        (old_style, ["old_style"]),
        (by_hand, ["__await__", "by_hand"]),
        (iterates, ["items", "iterates"]),
    ],
    ids=["future", "generator", "awaitable", "async-generator"],
)
def test_all_functions_are_found_however_deep_a_task_is(
    steps: int, last: Any, inside: list[str]
) -> None:
    async def main() -> list[tuple[str, int]]:
        task = asyncio.create_task(down(steps, last))
        await asyncio.sleep(0)
        found = [(code.co_name, at) for code, at in stacks.parked(task)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    found = asyncio.run(main())
    assert [name for name, _ in found] == [*inside, *["down"] * (steps + 1)]
    assert len({at for name, at in found if name == "down"}) == (2 if steps else 1)


def test_task_that_has_not_begun_is_parked_in_its_function() -> None:
    async def main() -> tuple[list[str], int]:
        task = asyncio.create_task(down(0, waits))
        found = stacks.parked(task)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [code.co_name for code, _ in found], len(stacks.parked(task))

    assert asyncio.run(main()) == (["down"], 0)
