"""List all tasks with the lines at which they wait, and run until one of them goes on.

pip install 'asyncscope[debug]' && python examples/debug_until_task_resumes.py
"""

import asyncio
import tempfile
from pathlib import Path

from autoinstrument.debugger import DebugpyServerManager

PROGRAM = """
import asyncio

async def consumer(queue):
    while True:
        item = await queue.get()
        print("got", item, flush=True)

async def main():
    queues = [asyncio.Queue() for _ in range(3)]
    tasks = [
        asyncio.create_task(consumer(queue), name=f"consumer-{n}")
        for n, queue in enumerate(queues)
    ]
    await asyncio.sleep(1.5)
    for n, queue in enumerate(queues):
        queue.put_nowait(n)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text(PROGRAM)
        async with DebugpyServerManager() as manager:
            await manager.launch("program", [str(program)])
            async with manager.client("program") as client:
                for task in await client.async_tasks():
                    where = task.frames[0]
                    print(f"{task.name} waits in {where.function}:{where.line}")
                await client.run_until_task_resumes("consumer-1", timeout_s=20)
                frames = await client.stack_trace()
                print(f"consumer-1 runs again, line {frames[0].line} of {frames[0].name}")


if __name__ == "__main__":
    asyncio.run(main())
