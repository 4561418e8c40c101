"""What the agent's thread costs while the program does nothing, and while its loop is busy.

`idle.py beside_COUNT:CENTISECONDS ...` prints a line of JSON: beside so many waiting tasks, the
processor time of the whole process in milliseconds a second while the loop sleeps, and the same of
all threads but the loop's while it turns as fast as it can; and by how much it is late at most.

Both are measured after the first seconds, in which the agent looks at each task for the first time
(10,000 a second).
"""

import asyncio
import json
import sys
import time
from typing import Any


async def longest_wait(seconds: float) -> float:
    """Turn the loop as fast as it can; return the milliseconds of the longest turn."""
    last = time.perf_counter()
    end, longest = last + seconds, 0.0
    while last < end:
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest * 1000


async def wait(end: asyncio.Event) -> int:
    await end.wait()
    return 1


async def beside(tasks: int, seconds: float) -> dict[str, Any]:
    end = asyncio.Event()
    waiting = [asyncio.create_task(wait(end)) for _ in range(tasks)]
    await asyncio.sleep(3 + tasks / 8_000)
    cpu = time.process_time()
    await asyncio.sleep(seconds)
    asleep = time.process_time() - cpu
    cpu, own = time.process_time(), time.thread_time()
    late = await longest_wait(seconds)
    others = time.process_time() - cpu - (time.thread_time() - own)
    end.set()
    extra = {
        "asleep_cpu_ms_a_second": asleep * 1000 / seconds,
        "beside_busy_loop_cpu_ms_a_second": others * 1000 / seconds,
        "busy_loop_late_ms": late,
    }
    return {"result": sum(await asyncio.gather(*waiting)), "extra": extra, "done": 1}


def main() -> None:
    cases = {}
    for word in sys.argv[1:]:
        name, _, hundredths = word.partition(":")
        tasks = int(name.removeprefix("beside_"))
        cases[name] = asyncio.run(beside(tasks, float(hundredths) / 100))
    sys.stdout.write(json.dumps({"cases": cases, "recorded": {}}) + "\n")


if __name__ == "__main__":
    main()
