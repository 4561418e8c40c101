"""Open a debug port in a program that runs already, look into it, and close the port again.

pip install 'asyncscope[debug]' && python examples/debug_running_process.py
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from autoinstrument.debugger import AsyncDebugClient

SERVICE = """
import asyncio

async def order(number):
    await asyncio.sleep(60)

async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(order(number), name=f"order-{number}")
        print("up", flush=True)

asyncio.run(main())
"""


def asyncscope(*words: str) -> str:
    """Run a command as one would in a terminal; return what it prints."""
    command = [sys.executable, "-m", "autoinstrument", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_until_listed(pid: int) -> None:
    while not re.search(rf"^{pid} ", asyncscope("ps"), re.MULTILINE):
        pass  # a process is listed 50 ms after its loop has started


async def look(port: int) -> None:
    async with AsyncDebugClient("127.0.0.1", port) as client:
        for task in await client.async_tasks():
            where = task.frames[0]
            print(f"  {task.name} waits in {where.function}:{where.line}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "service.py"
        program.write_text(SERVICE)
        with subprocess.Popen(
            [sys.executable, str(program)],
            env={**os.environ, "ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"},
            stdout=subprocess.PIPE,
        ) as service:
            try:
                assert service.stdout is not None
                service.stdout.readline()
                wait_until_listed(service.pid)
                answer = asyncscope("debug", str(service.pid))
                print(answer.splitlines()[0])
                found = re.search(r"127\.0\.0\.1:(\d+)", answer)
                assert found is not None
                asyncio.run(look(int(found[1])))
                print(asyncscope("debug", str(service.pid), "--stop"), end="")
            finally:
                service.kill()


if __name__ == "__main__":
    main()
