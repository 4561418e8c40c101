"""How long a snapshot of all waiting tasks takes, and how long it holds up the loop.

`snapshot.py waiting:COUNT` prints a line of JSON. The snapshot and the list that is printed on
`ASYNCSCOPE_DUMP_SIGNAL` are made in the agent's thread while the loop has little to do (`idle`: it
wakes each millisecond) and while it turns as fast as it can (`busy`); the loop notes by how much it
was late at most. Without the agent only the loop is measured.

On a machine with other work these times are those of the machine. `cpu_ms` and `hold_cpu_ms` are
not: the processor time of a snapshot, and of its longest stretch between two moments at which the
thread offers the interpreter to others.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

SECONDS = 1.0
TIMES = 3
PAUSES = {"idle": 0.001, "busy": 0.0}


async def wait(end: asyncio.Event) -> int:
    await end.wait()
    return 1


async def longest_wait(seconds: float, pause: float) -> float:
    """Return by how many milliseconds the loop was late at most."""
    last = time.perf_counter()
    end, longest = last + seconds, 0.0
    while last < end:
        await asyncio.sleep(pause)
        now = time.perf_counter()
        longest, last = max(longest, now - last - pause), now
    return longest * 1000


class Measured:
    """Jobs done in the agent's thread: what each took, and its longest stretch."""

    def __init__(self) -> None:
        from autoinstrument import looks
        from autoinstrument.agent import current

        agent = current()
        assert agent is not None
        self.world, self._ask = agent.world, agent.watch.ask
        self.took: list[tuple[float, float, float]] = []
        self._looks: Any = looks
        self._give_way = looks._give_way
        self._since = 0.0
        self._longest = 0.0

    def _offer(self, seconds: float) -> None:
        self._longest = max(self._longest, time.thread_time() - self._since)
        self._give_way(seconds)
        self._since = time.thread_time()

    def ask(self, job: Callable[[Any], object]) -> None:
        def measured() -> None:
            self._looks._give_way = self._offer
            self._longest, self._since = 0.0, time.thread_time()
            wall, cpu = time.perf_counter(), time.thread_time()
            job(self.world)
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            self._longest = max(self._longest, time.thread_time() - self._since)
            self._looks._give_way = self._give_way
            self.took.append((wall * 1000, cpu * 1000, self._longest * 1000))

        assert self._ask(measured)

    async def best(self, count: int) -> tuple[float, float, float]:
        """Wait for so many jobs, and return the least of each figure."""
        while len(self.took) < count:  # noqa: ASYNC110 - an event would be set from a thread
            await asyncio.sleep(0.01)
        found, self.took = self.took, []
        walls, cpus, longest = zip(*found, strict=True)
        return min(walls), min(cpus), min(longest)


async def beside(extra: dict[str, float]) -> None:
    """Measure snapshots, and the list, beside a loop with little to do and a busy one."""
    from autoinstrument.snapshot import take
    from autoinstrument.stall import describe

    measured, loop = Measured(), asyncio.get_running_loop()
    jobs: dict[str, Callable[[Any], object]] = {
        "snapshot": take,
        "list": lambda world: describe(world, 0.0),
    }
    for job, function in jobs.items():
        for name, pause in PAUSES.items():
            late = []
            for _ in range(TIMES):
                loop.call_later(0.1, measured.ask, function)
                late.append(await longest_wait(SECONDS, pause))
            wall, cpu, longest = await measured.best(TIMES)
            extra[f"{job}, {name}: ms"] = wall
            extra[f"{job}, {name}: late_ms"] = min(late)
            extra[f"{job}, {name}: cpu_ms"] = cpu
            extra[f"{job}, {name}: hold_cpu_ms"] = longest


async def waiting(count: int) -> dict[str, Any]:
    end = asyncio.Event()
    tasks = [asyncio.create_task(wait(end)) for _ in range(count)]
    await asyncio.sleep(1)
    extra = {}
    for name, pause in PAUSES.items():
        extra[f"{name}: late_ms"] = min([await longest_wait(SECONDS, pause) for _ in range(TIMES)])
    if "autoinstrument.agent" in sys.modules:
        await beside(extra)
    end.set()
    return {"result": sum(await asyncio.gather(*tasks)), "extra": extra, "done": count}


def main() -> None:
    cases = {}
    for word in sys.argv[1:]:
        name, _, count = word.partition(":")
        cases[name] = asyncio.run(globals()[name](int(count)))
    sys.stdout.write(json.dumps({"cases": cases, "recorded": {}}) + "\n")


if __name__ == "__main__":
    main()
