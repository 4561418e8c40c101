"""Start two programs with a debug port each, and look into them from here.

pip install 'asyncscope[debug]' && python examples/debug_other_process.py
"""

import asyncio
import tempfile
from pathlib import Path

from autoinstrument.debugger import DebugpyServerManager

WORKER = """
import asyncio

async def job(n):
    await asyncio.sleep(0.02)
    return n * n

async def main():
    n = 0
    while True:
        n += 1
        result = await job(n)

asyncio.run(main())
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "worker.py"
        program.write_text(WORKER)
        line = WORKER.splitlines().index("    return n * n") + 1
        async with DebugpyServerManager() as manager:
            for name in ("worker-a", "worker-b"):
                await manager.launch(name, [str(program)])
                async with manager.client(name) as client:
                    await client.set_breakpoints(program, [line])
                    await client.wait_stopped(timeout_s=10)
                    frames = await client.stack_trace()
                    found = await client.local_variables(frames[0].id)
                    print(f"{name}: {frames[0].name} with n = {found['n'].value}")
                    for task in await client.awaiting_chain():
                        print("  in task", task.name, [frame.function for frame in task.frames])
                    stop = await client.step_over()
                    print("  after a step:", stop.reason)
            print({name: status.state for name, status in manager.status().items()})


if __name__ == "__main__":
    asyncio.run(main())
