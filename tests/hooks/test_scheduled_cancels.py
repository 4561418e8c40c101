"""`task.cancel` handed to the loop has an origin: the line that handed it over."""

import json
from pathlib import Path

import pytest

from tests.helpers import run_child

PROGRAM = """
import asyncio, functools, json, os, signal, sys, threading

async def work():
    await asyncio.sleep(30)

async def outer(inner):
    await inner

async def main():
    loop = asyncio.get_running_loop()
    inner = asyncio.create_task(work(), name="inner")
    task = asyncio.create_task(outer(inner), name="outer")
    await asyncio.sleep(0.01)
    {hand_over}  # here
    await asyncio.wait([task, inner])
    from autoinstrument.agent import install
    found = []
    for record in install().world.tasks.live.values():
        for origin in record.cancels or ():
            code, lasti = origin.stack[[c.co_name for c, _ in origin.stack].index("main")]
            from autoinstrument.places import line_of
            found.append([record.name, origin.via, line_of(code, lasti), origin.by_task])
    print(json.dumps(sorted(found)))

asyncio.run(main())
"""

HANDED_OVER = {
    "call_later": ("loop.call_later(0.01, task.cancel)", "timer"),
    "call_at": ("loop.call_at(loop.time(), task.cancel, 'enough')", "timer"),
    "partial": ("loop.call_later(0.01, functools.partial(task.cancel, msg='late'))", "timer"),
    "threadsafe": ("loop.call_soon_threadsafe(task.cancel)", "threadsafe"),
    "signal": (
        "loop.add_signal_handler(signal.SIGUSR1, task.cancel); "
        "os.kill(os.getpid(), signal.SIGUSR1)",
        "signal",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("hand_over", "via"), HANDED_OVER.values(), ids=HANDED_OVER)
def test_cancellation_by_the_loop_has_its_origin(tmp_path: Path, hand_over: str, via: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("{hand_over}", hand_over))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "# here" in text)
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"})
    assert child.status == 0, child.err
    found = json.loads(child.out)
    assert via in {how for _, how, *_ in found}
    assert {how for _, how, *_ in found} <= {via, "propagated"}
    assert {(number, by) for *_, number, by in found} == {(line, "Task-1")}


@pytest.mark.slow
def test_timer_that_is_taken_back_cancels_nothing(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    hand_over = "loop.call_later(0.01, task.cancel).cancel(); inner.cancel()"
    path.write_text(PROGRAM.replace("{hand_over}", hand_over))
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"})
    assert child.status == 0, child.err
    assert [origin[:2] for origin in json.loads(child.out)] == [["inner", "task.cancel"]]
