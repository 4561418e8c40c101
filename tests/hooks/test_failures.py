"""An error of ours switches one observation off, with one line; the program goes on."""

import asyncio
import contextlib
from typing import Any

import pytest

from autoinstrument.trackers.resources import ResourceTracker
from tests.hooks.conftest import Install


async def numbers() -> Any:
    for n in range(3):
        yield n


async def use_anyio() -> list[Any]:
    import anyio

    seen: list[Any] = []
    lock, semaphore, event = anyio.Lock(), anyio.Semaphore(1), anyio.Event()

    async def worker(n: int) -> None:
        async with lock, semaphore:
            await anyio.sleep(0.001)
            seen.append(n)

    async with anyio.create_task_group() as group:
        for n in range(3):
            group.start_soon(worker, n)
        group.start_soon(event.wait)
        event.set()
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(5)
    return [sorted(seen), scope.cancelled_caught]


async def use_shield() -> bool:
    async def saves() -> None:
        await asyncio.shield(asyncio.sleep(0.005))

    task = asyncio.create_task(saves())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.02)
    return task.cancelled()


async def everything() -> list[Any]:
    """Use each part of asyncio and anyio that is hooked, and return what came out."""
    seen: list[Any] = []
    lock, queue, event = asyncio.Lock(), asyncio.Queue[int](1), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context["message"][:9]))

    async def worker(n: int) -> int:
        async with lock, asyncio.Semaphore(1):
            await queue.put(n)
            await asyncio.sleep(0)
            return await queue.get()

    async def fails() -> None:
        raise ValueError("bad")

    seen.append(await asyncio.gather(*(worker(n) for n in range(3))))
    try:
        await asyncio.gather(fails(), asyncio.sleep(0.01))
    except ValueError as error:
        seen.append(str(error))
    try:
        async with asyncio.timeout(0.01):
            await event.wait()
    except TimeoutError:
        seen.append("timeout")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
            group.create_task(fails())
    except* ValueError as errors:
        seen.append(len(errors.exceptions))
    task = asyncio.create_task(asyncio.sleep(5), name="cancelled")
    await asyncio.sleep(0)
    seen += [task.cancel("why"), await asyncio.wait([task]) and task.cancelled(), task.get_name()]
    async with contextlib.aclosing(numbers()) as generator:
        seen.append(await anext(generator))
    async for n in numbers():
        seen.append(n)
        break
    loop.call_soon(int, "x")
    return [*seen, await use_anyio(), await use_shield()]


MOMENTS = ["loop_started", "scope_left", "lock_waited", "lock_wait_ended", "tick", "loop_closing"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_failing_check_is_switched_off_with_one_line(
    install: Install, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    agent = install()
    calls = []

    def broken(*_: Any) -> None:
        calls.append(1)
        raise LookupError("broken on purpose")

    seen: list[Any] = []
    agent.moments.on(moment, broken)
    agent.moments.on(moment, lambda *facts: seen.append(facts))
    asyncio.run(everything())
    agent.moments.fire(moment, *seen[-1] if seen else (0,))
    text = capsys.readouterr().err
    if moment != "scope_left":  # told of irregular exits alone
        assert seen
    assert len(calls) == 1
    assert text.count("broken on purpose") == 1
    assert "test_failures failed (LookupError: broken on purpose at test_failures.py:" in text


def test_keyboard_interrupt_in_an_observation_is_the_programs(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come while our code runs; it must not be swallowed."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ResourceTracker, "taken", interrupted)
    install()

    async def main() -> None:
        async with asyncio.Lock():
            pass

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
