"""A program that sets a breakpoint in itself, looks at the stopped frame, and goes on.

pip install 'asyncscope[debug]' && python examples/debug_own_process.py
"""

import asyncio

from autoinstrument.debugger import DebugEvent, RemoteDebugger


async def total(prices: list[float]) -> float:
    result = 0.0
    for price in prices:
        await asyncio.sleep(0)
        result += price
    return result


async def show(event: DebugEvent) -> None:
    """Run in a thread of its own while the loop's thread stands still at the breakpoint."""
    stack = await event.session.get_stack_trace()
    price = await event.session.evaluate_expression("price")
    print(f"stopped in {stack[0].name}, line {event.line}: price is {price.result}")
    for task in await event.session.async_tasks():
        parked = task.parked
        print(f"  task {task.name} is at {parked.function if parked else '?'}")


async def main() -> None:
    debugger = RemoteDebugger()
    line = total.__code__.co_firstlineno + 4  # result += price
    async with debugger.debug_session("negative prices") as session:
        session.register_event_handler("breakpoint", show)
        await session.set_breakpoint(__file__, line, condition="price < 0")
        print("total:", await total([10.0, 20.0, -5.0, 1.0]))
    print("stops:", debugger.get_statistics()["stops"])


if __name__ == "__main__":
    asyncio.run(main())
