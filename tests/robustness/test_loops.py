"""Many loops: one after the other, and side by side; and nothing is kept of them."""

import json
from pathlib import Path

import pytest

from tests.robustness.watched import both, others, said

pytestmark = pytest.mark.slow

ONE_AFTER_THE_OTHER = """
import asyncio, gc, resource, weakref

async def main():
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

gone = []
def round():
    loop = asyncio.new_event_loop()
    gone.append(weakref.ref(loop))
    loop.run_until_complete(main())
    loop.close()

def many(count):
    for _ in range(count):
        round()
    gc.collect()
    alive = sum(ref() is not None for ref in gone)
    gone.clear()
    return alive, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

many(ROUNDS // 4)
_, before = many(ROUNDS // 4)
alive, after = many(ROUNDS // 2)
print(alive, after - before < 16_000)
"""

SIDE_BY_SIDE = """
import asyncio, threading

lock = threading.Lock()
total = 0

async def work(event):
    await event.wait()

async def main():
    global total
    for _ in range(20):
        event, own = asyncio.Event(), asyncio.Lock()
        tasks = [asyncio.create_task(work(event)) for _ in range(20)]
        async with own, asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        event.set()
        await asyncio.gather(*tasks)
        with lock:
            total += len(tasks)

threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(total, threading.active_count())
"""


def loops(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "report.json").read_text())["statistics"]["loops"]
    return found


@pytest.mark.parametrize(
    "rounds", [1_000, pytest.param(10_000, marks=pytest.mark.heavy)], ids=["short", "long"]
)
def test_loops_created_and_closed_many_times(tmp_path: Path, rounds: int) -> None:
    text = ONE_AFTER_THE_OTHER.replace("ROUNDS", str(rounds))
    plain, child = both(tmp_path, text, timeout_s=120)
    assert (child.status, child.out) == (plain.status, plain.out) == (0, "0 True\n")
    assert others(child.err) == []
    assert len(said(child.err)) == 2  # the summary and where the report is
    assert loops(tmp_path) == {
        "seen": rounds,
        "running": 0,
        "closed": rounds,
        "errors": 0,
        "blocked": loops(tmp_path)["blocked"],
    }


def test_loops_side_by_side_in_threads(tmp_path: Path) -> None:
    plain, child = both(tmp_path, SIDE_BY_SIDE)
    assert (child.status, child.out) == (plain.status, plain.out) == (0, "6400 1\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert [finding["kind"] for finding in report["findings"]] == []
    statistics = report["statistics"]
    assert statistics["loops"]["seen"] == 16
    assert statistics["scopes"]["entered"] == statistics["scopes"]["left"]
    closing = 2  # tasks in which asyncio.run() ends generators and the executor
    assert statistics["tasks"]["created"] == 16 * (1 + 20 * (20 + 1) + closing)
