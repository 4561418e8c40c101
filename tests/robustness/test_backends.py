"""Whatever a backend does, the program does not feel it, and ends at once."""

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.robustness import backends
from tests.robustness.watched import said, start, write

pytestmark = pytest.mark.heavy

# Works for as long as it is told in short steps, a storm of tasks among them, and says how long
# the longest step took, when it was done, and how much memory it had needed.
PROGRAM = """
import asyncio, json, resource, sys, time

async def work():
    await asyncio.sleep(0)

async def main():
    began, longest = time.monotonic(), 0.0
    while time.monotonic() - began < float(sys.argv[1]):
        step = time.monotonic()
        await asyncio.gather(*(work() for _ in range(20)))
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - step)
    return longest

longest = asyncio.run(main())
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"longest_s": longest, "done": time.monotonic(), "peak_kb": peak_kb}))
"""

BEHAVIOURS = {
    "sound": backends.sound,
    "silent": backends.silent,
    "deaf": backends.deaf,
    "slow": backends.slow,
    "garbage": backends.garbage,
    "endless": backends.endless,
    "server error": backends.broken,
    "busy": backends.busy,
    "hanging up": backends.hanging_up,
    "gone mid-run": backends.once,
    "refusing": None,
    "no such host": None,
}
LOSING = set(BEHAVIOURS) - {"sound", "endless"}  # an endless answer begins well
EXIT_S = 2.0
SIDE_BY_SIDE = 4
NOISE_S = 1.0  # processes that run side by side on a machine which others use as well


@dataclass
class Run:
    """What a program said of itself, and what the agent said."""

    facts: dict[str, Any]
    exit_s: float
    status: int
    err: str


def run_all(folder: Path, seconds: str = "2.5") -> dict[str, Run]:
    """Run the program with each backend, a few at the same time."""
    path, names = write(folder, PROGRAM), list(BEHAVIOURS)
    found: dict[str, Run] = {}
    for position in range(0, len(names), SIDE_BY_SIDE):
        with contextlib.ExitStack() as stack:
            group = {
                name: stack.enter_context(start(path, seconds, env=environment(stack, name)))
                for name in names[position : position + SIDE_BY_SIDE]
            }
            found.update({name: watched_to_the_end(name, group) for name in group})
    return found


def environment(stack: contextlib.ExitStack, name: str) -> dict[str, str]:
    """Start a backend and return the variables that name it."""
    behaviour = BEHAVIOURS[name]
    url = "http://no-such-host.invalid:4318"
    if behaviour is not None:
        first = 1 if name == "gone mid-run" else 1_000_000
        url = stack.enter_context(backends.backend(behaviour, first=first))
    elif name == "refusing":
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "ASYNCSCOPE_SPAN_BUDGET": "5000"}


def watched_to_the_end(name: str, group: dict[str, Any]) -> Run:
    """Wait for one process; the moments at which all of the group end are noted meanwhile."""
    process = group[name]
    while not all(hasattr(one, "ended") for one in group.values()):
        for one in group.values():
            if not hasattr(one, "ended") and one.poll() is not None:
                one.ended = time.monotonic()
        time.sleep(0.005)
    out, err = process.communicate(timeout=10)
    facts = json.loads(out)
    return Run(facts, process.ended - facts["done"], process.returncode, err)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    found = run_all(tmp_path_factory.mktemp("backends"))
    for name, run in found.items():
        print(f"{name:14} {run.facts} exit after {run.exit_s:.2f} s")
    return found


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_program_does_not_feel_its_backend(runs: dict[str, Run], name: str) -> None:
    run, sound = runs[name], runs["sound"]
    assert run.status == 0
    assert "Traceback" not in run.err
    # A wait for the backend in the loop's thread would show as a step of seconds.
    assert run.facts["longest_s"] < sound.facts["longest_s"] + NOISE_S
    assert run.facts["peak_kb"] < sound.facts["peak_kb"] + 16_000


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_program_ends_two_seconds_later_at_most(runs: dict[str, Run], name: str) -> None:
    assert runs[name].exit_s < EXIT_S + NOISE_S + runs["sound"].exit_s


@pytest.mark.parametrize("name", sorted(LOSING))
def test_what_was_lost_is_said(runs: dict[str, Run], name: str) -> None:
    lines = said(runs[name].err)
    assert sum("could not be sent" in line for line in lines) <= 1
    assert [line for line in lines if "not exported by otlp" in line], lines


def test_sound_backend_loses_nothing(runs: dict[str, Run]) -> None:
    lines = said(runs["sound"].err)
    if runs["sound"].exit_s >= EXIT_S:
        pytest.skip("the machine is too busy to send it all within the time at exit")
    assert [line for line in lines if "sent" in line or "not exported" in line] == []
