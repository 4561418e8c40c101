"""Measure functions of one module of this folder: `run.py [options] MODULE FUNCTION:COUNT ...`.

Each function runs in an event loop of its own: first a tenth of its count to warm up, then
`--repeat` timed regions. A region's CPU time is that of all threads of the process, so the
agent's thread counts. One line of JSON on stdout tells about all of them.

`--counter LIBRARY` asks callgrind for the instructions of one region instead (see
`instructions.py`). `--peer NAME` starts the tool in `peers/NAME.py` first. `--uvloop` runs the
functions on uvloop.
"""

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Function = Callable[[int], Awaitable[Any]]


def _read(text: str) -> tuple[str, int]:
    name, _, count = text.partition(":")
    return name, int(count)


def _warm_up(count: int) -> int:
    """Return a tenth of a count, as whole hundreds: some functions work in batches of that size."""
    return max(count // 1000 * 100, 100)


async def _timed(function: Function, count: int, repeat: int) -> dict[str, Any]:
    await function(_warm_up(count))
    regions = []
    result = None
    for _ in range(repeat):
        gc.collect()
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        result = await function(count)
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        regions.append({"cpu_ns": cpu, "wall_ns": wall})
    return {"result": result, "regions": regions, "done": _warm_up(count) + count * repeat}


async def _counted(function: Function, count: int, counter: Any, name: str) -> dict[str, Any]:
    await function(_warm_up(count))
    gc.collect()
    counter.begin()
    result = await function(count)
    counter.end(name.encode())
    return {"result": result, "regions": [], "done": _warm_up(count) + count}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--counter")
    parser.add_argument("--peer")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("module")
    parser.add_argument("functions", nargs="+", type=_read)
    return parser.parse_args()


def main() -> None:
    asked = _arguments()
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    peer = importlib.import_module(f"programs.peers.{asked.peer}").Peer() if asked.peer else None
    module = importlib.import_module(f"programs.{asked.module}")
    counter = ctypes.CDLL(asked.counter) if asked.counter else None
    factory = importlib.import_module("uvloop").new_event_loop if asked.uvloop else None

    async def measured(name: str, count: int) -> dict[str, Any]:
        function = getattr(module, name)
        if counter is not None:
            return await _counted(function, count, counter, name)
        return await _timed(function, count, asked.repeat)

    cases = {}
    for name, count in asked.functions:
        job = measured(name, count)
        with asyncio.Runner(loop_factory=factory) as runner:
            cases[name] = runner.run(job if peer is None else peer.around(job))
    recorded = peer.recorded() if peer is not None else {}
    sys.stdout.write(json.dumps({"cases": cases, "recorded": recorded}) + "\n")


if __name__ == "__main__":
    main()
