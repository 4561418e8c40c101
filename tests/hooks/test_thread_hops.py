"""What goes from thread to thread is joined to the task that sent it."""

import json
from pathlib import Path

import pytest

from tests.helpers import run_child

PROGRAM = """
import asyncio, gc, json, threading, time

import anyio
from autoinstrument.agent import install
from autoinstrument.places import is_user_file, line_of

hops = install().world.hops

async def answer():
    return 1

def ask(loop):
    asyncio.run_coroutine_threadsafe(answer(), loop).result()  # run_coroutine_threadsafe

async def main():
    loop = asyncio.get_running_loop()
    seen = threading.Event()
    waiting = asyncio.create_task(asyncio.to_thread(seen.wait, 60), name="waiting")
    await asyncio.to_thread(time.sleep, 0.05)  # to_thread
    await loop.run_in_executor(None, time.sleep, 0)  # run_in_executor
    await anyio.to_thread.run_sync(time.sleep, 0)  # anyio.to_thread
    thread = threading.Thread(target=ask, args=(loop,))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.01)
    records = {record.name: record for record in install().world.tasks.live.values()}
    open_hops = [hop.how for hop in hops.of(records["waiting"])]
    seen.set()
    await waiting
    gc.collect()
    found = [
        [
            hop.how,
            hop.task.name if hop.task is not None else "",
            next(line_of(*raw) for raw in hop.stack if is_user_file(raw[0].co_filename)),
            hop.ended_ns >= hop.started_ns,
        ]
        for hop in hops.finished
        if hop.task is not records["waiting"]
    ]
    print(json.dumps([found, open_hops, len(hops.live), hops.count]))

asyncio.run(main())
"""


@pytest.mark.slow
def test_hops_know_who_sent_them_and_where(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    lines = path.read_text().splitlines()
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"})
    assert child.status == 0, child.err
    found, still_open, live, count = json.loads(child.out)
    assert sorted(found) == sorted(  # when an end is seen depends on the collector
        [how, task, next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {how}")), True]
        for how, task in (
            ("to_thread", "Task-1"),
            ("run_in_executor", "Task-1"),
            ("anyio.to_thread", "Task-1"),
            ("run_coroutine_threadsafe", ""),
        )
    )
    assert (still_open, live, count) == (["to_thread"], 0, 5)


@pytest.mark.slow
def test_stall_names_the_function_in_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text("import asyncio, time\nasyncio.run(asyncio.to_thread(time.sleep, 1.5))\n")
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_STALL_S": "0.3"})
    assert child.status == 0, child.err
    assert "for a function sent to a thread" in child.err
    assert "(to_thread)" in child.err
