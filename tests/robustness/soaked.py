"""The process that `soak` watches: each round uses tasks, scopes, locks and generators.

Prints its memory at each tenth, and at the end a line of JSON.
"""

import asyncio
import contextlib
import contextvars
import gc
import json
import sys
import weakref
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import anyio

AT_ONCE = 50
variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")


class Thing:
    """A value of the program: an argument, a local variable, a context variable."""


async def numbers(thing: Thing) -> AsyncGenerator[Thing, None]:
    for _ in range(2):
        yield thing


async def fails(thing: Thing) -> None:
    raise ValueError(thing)


async def one(lock: asyncio.Lock, queue: "asyncio.Queue[Thing]", number: int) -> None:
    """Use each kind of thing once."""
    thing = Thing()
    variable.set(thing)
    if number % 10 == 0:
        watch("things", thing)
    async with lock, asyncio.timeout(60):
        await queue.put(thing)
        await queue.get()
    generator = numbers(thing)
    async with contextlib.aclosing(generator) as items:
        async for _ in items:
            pass
    with anyio.CancelScope():
        await asyncio.sleep(0)
    if number % 7 == 0:
        with contextlib.suppress(ValueError):
            await fails(thing)


async def cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


watched: list[tuple[str, weakref.ref[Any]]] = []


def watch(kind: str, thing: Any) -> None:
    watched.append((kind, weakref.ref(thing)))


async def round_of_work(number: int) -> None:
    lock, queue = asyncio.Lock(), asyncio.Queue[Thing](2)
    watch("locks", lock)
    tasks = [
        asyncio.create_task(one(lock, queue, number + step), name=f"work {number} {step}")
        for step in range(AT_ONCE)
    ]
    for task in tasks[::10]:
        watch("tasks", task)
    await asyncio.gather(*tasks)
    tasks.clear()
    await cancelled()


def memory_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * 4096 / 1e6


async def main(rounds: int) -> dict[str, Any]:
    """Work; `rounds` counts tasks that use everything once."""
    rss: list[float] = []
    left: Counter[str] = Counter()
    for tenth in range(10):
        for number in range(0, rounds // 10, AT_ONCE):
            await round_of_work(number)
            await asyncio.sleep(0)
            watched[:] = [one for one in watched if one[1]() is not None]
        await asyncio.sleep(0.2)  # the agent's thread looks at some of them now and then
        left.update(kind for kind, thing in watched if thing() is not None)
        watched.clear()
        rss.append(round(memory_mb(), 1))
        print(f"{(tenth + 1) * rounds // 10} rounds, {rss[-1]} MB", flush=True)
    return {"rss_mb": rss, "left": left, "collections": gc.get_stats()[2]["collections"]}


if __name__ == "__main__":
    gc.collect()
    gc.disable()
    print(json.dumps(asyncio.run(main(int(sys.argv[1])))))
