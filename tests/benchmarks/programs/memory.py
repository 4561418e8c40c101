"""Memory: tasks that all live at once, and tasks that come and go.

`memory.py alive:COUNT over_time:COUNT` prints a line of JSON: bytes of memory that each live task
takes, at once and after some seconds, in which the agent looks at each of them (10,000 a second);
and by how much the process grew during each quarter of the others, and the processor time of a task
in it.
"""

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def wait(end: asyncio.Event) -> int:
    await end.wait()
    return 1


async def short(number: int) -> int:
    return number % 7


async def alive(count: int) -> dict[str, Any]:
    gc.collect()
    before, end = resident(), asyncio.Event()
    tasks = [asyncio.create_task(wait(end)) for _ in range(count)]
    await asyncio.sleep(0.2)
    extra = {"bytes_each": (resident() - before) / count}
    await asyncio.sleep(2 + count / 8_000)
    extra["bytes_each_later"] = (resident() - before) / count
    end.set()
    return {"result": sum(await asyncio.gather(*tasks)), "extra": extra}


async def over_time(count: int) -> dict[str, Any]:
    sizes, times, total = [resident()], [time.process_time_ns()], 0
    for _ in range(4):
        for _ in range(count // 400):
            batch = [asyncio.create_task(short(number)) for number in range(100)]
            total += sum(await asyncio.gather(*batch))
        gc.collect()
        sizes.append(resident())
        times.append(time.process_time_ns())
    extra = {f"quarter_{i + 1}_bytes": float(sizes[i + 1] - sizes[i]) for i in range(4)}
    each = {f"quarter_{i + 1}_ns": (times[i + 1] - times[i]) / (count / 4) for i in range(4)}
    return {"result": total, "extra": extra | each}


def main() -> None:
    cases = {}
    for word in sys.argv[1:]:
        name, _, count = word.partition(":")
        cases[name] = asyncio.run(globals()[name](int(count)))
        cases[name]["done"] = int(count)
    sys.stdout.write(json.dumps({"cases": cases, "recorded": {}}) + "\n")


if __name__ == "__main__":
    main()
