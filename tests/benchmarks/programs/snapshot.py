"""How long the list of all waiting tasks takes, and how long it holds up the loop.

`snapshot.py waiting:COUNT` prints a line of JSON. The list is the one printed on
`ASYNCSCOPE_DUMP_SIGNAL` and at a stall; it is made in another thread while the loop turns as fast
as it can and notes its longest turn. Without the agent only the loop is measured.
"""

import asyncio
import json
import sys
import threading
import time
from typing import Any

SECONDS = 0.5


async def wait(end: asyncio.Event) -> int:
    await end.wait()
    return 1


def make_list(made: dict[str, float]) -> None:
    from autoinstrument.agent import current
    from autoinstrument.stall import describe

    agent = current()
    assert agent is not None
    time.sleep(SECONDS / 4)
    began = time.perf_counter()
    lines = describe(agent.world, 0.0)
    made["list_ms"] = (time.perf_counter() - began) * 1000
    made["lines"] = len(lines)


async def longest_turn(seconds: float) -> float:
    last = time.perf_counter()
    end, longest = last + seconds, 0.0
    while last < end:
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest * 1000


async def waiting(count: int) -> dict[str, Any]:
    end = asyncio.Event()
    tasks = [asyncio.create_task(wait(end)) for _ in range(count)]
    await asyncio.sleep(0.2)
    extra = {"turn_ms": await longest_turn(SECONDS)}
    if "autoinstrument.agent" in sys.modules:
        thread = threading.Thread(target=make_list, args=(extra,))
        thread.start()
        extra["turn_beside_ms"] = await longest_turn(SECONDS)
        thread.join()
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
