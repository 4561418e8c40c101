"""Follow named operations, scopes and locks, and stop in one of them.

pip install 'asyncscope[debug]' && python examples/debug_operations.py
"""

import asyncio

from autoinstrument.debugger import AsyncDebugger, DebugEvent, debug_async, debug_scope

debugger = AsyncDebugger()
lock = asyncio.Lock()


@debug_scope("fetch", timeout_s=5, debugger=debugger)
async def fetch(n: int) -> int:
    async with debugger.tracked_lock(lock, "connection"):
        await asyncio.sleep(0.01)
        return n * 10


@debug_async("import", debugger=debugger)
async def import_all() -> list[int]:
    return await asyncio.gather(*(fetch(n) for n in range(3)))


async def show(event: DebugEvent) -> None:
    print("stopped:", event.function, (await event.session.evaluate_expression("value")).result)


async def double(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


async def main() -> None:
    print(await import_all())
    places = [(__file__, double.__code__.co_firstlineno + 2)]
    print(await debugger.debug_async_operation("double", double(21), places, on_stop=show))
    debugger.print_summary()


if __name__ == "__main__":
    asyncio.run(main())
