"""A program that ends with thousands of long waits ends without delay."""

from pathlib import Path

import pytest

from tests.helpers import run_child

PROGRAM = """
import asyncio

async def wait():
    await asyncio.get_running_loop().create_future()

async def main():
    tasks = [asyncio.create_task(wait()) for _ in range(5000)]
    await asyncio.sleep(2.5)
    print(len(tasks))

asyncio.run(main())
"""


@pytest.mark.slow
def test_thousands_of_long_waits_do_not_hold_up_the_end(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    child = run_child(program, env=env, timeout_s=60)  # it took minutes, by the square
    assert (child.status, child.out, child.err) == (0, "5000\n", "")
