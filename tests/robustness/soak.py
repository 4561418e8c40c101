"""Millions of tasks, scopes, locks and generators: memory stays flat, nothing is kept alive.

    python -m tests.robustness.soak                    5 million rounds (about an hour)
    python -m tests.robustness.soak --rounds 200000

Runs a child process with the agent, an exporter that drops and a bound of 16 MB, without the
garbage collector: what is kept alive, or dies in a cycle of ours, shows at once. Prints the
memory at each tenth, and ends with status 1 when it grew, or when an object was left.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helpers import ROOT, child_environment

Facts = dict[str, Any]

MEMORY_MB = 16
BASE_MB = 64  # interpreter, asyncio, the agent, the SDK with its exporters
GROWTH_MB = 8  # from the second tenth on


def main() -> int:
    """Run the soak and judge it."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.soak")
    parser.add_argument("--rounds", type=int, default=5_000_000)
    rounds = parser.parse_args().rounds
    facts = soak(rounds, print_to_terminal=True)
    trouble = problems(facts)
    print("\n".join(trouble) or f"{rounds} rounds: flat at {facts['rss_mb'][-1]:.0f} MB")
    return bool(trouble)


def soak(
    rounds: int,
    *,
    exporter: str = "otlp",
    memory_mb: int = MEMORY_MB,
    print_to_terminal: bool = False,
) -> Facts:
    """Run the child and return what it said: `rss_mb` at each tenth, and what was `left`."""
    settings = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_MEMORY_MB": str(memory_mb),
        "ASYNCSCOPE_EXPORTER": exporter,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # refuses
    }
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("soaked.py"), str(rounds)],
        env=child_environment(settings),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if print_to_terminal else subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        last = "{}"
        for last in child.stdout:
            if print_to_terminal:
                print(last, end="", flush=True)
    if child.returncode:
        raise RuntimeError(f"the soaked process ended with {child.returncode}")
    facts: Facts = json.loads(last)
    return facts


def problems(facts: Facts, *, base_mb: int = BASE_MB, memory_mb: int = MEMORY_MB) -> list[str]:
    """Return what is wrong, in words; `base_mb` is what the process needs beside the bound."""
    rss = facts["rss_mb"]
    found = []
    if max(rss[2:]) - rss[1] > GROWTH_MB:
        found.append(f"memory grew: {rss}")
    if max(rss) > base_mb + memory_mb:
        found.append(f"memory above {base_mb} + {memory_mb} MB: {rss}")
    found += [f"{count} {kind} were kept alive" for kind, count in facts["left"].items() if count]
    return found


if __name__ == "__main__":
    sys.exit(main())
