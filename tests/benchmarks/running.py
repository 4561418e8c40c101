"""Run one program once under one variant, and check that the variant was at work."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from . import instructions
from .environments import clean_environment
from .receiver import Receiver
from .variants import Variant
from .workloads import Workload

PROGRAMS = Path(__file__).resolve().parent / "programs"
TIMEOUT_S = 300.0


class RunError(Exception):
    """A run gave no figures, a wrong result, or its tool recorded too little."""


@dataclass(slots=True)
class Ended:
    """A process that ended: what it used and printed."""

    status: int
    cpu_ns: int
    wall_ns: int
    peak_bytes: int
    out: str
    err: str


@dataclass(slots=True)
class Figures:
    """One case of one run. `extra` holds what only some workloads have."""

    operations: int
    result: Any
    cpu_ns: float = 0.0
    wall_ns: float = 0.0
    instructions: int = 0
    other_threads: int = 0
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """All cases of one run, and what the whole process used from start to exit."""

    cases: dict[str, Figures]
    whole_cpu_ns: int
    recorded: dict[str, int]


def execute(command: Sequence[str | Path], environment: dict[str, str]) -> Ended:
    """Run a command to its end and return what the kernel counted for it."""
    began = time.perf_counter_ns()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter_ns() - began
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    cpu = round((usage.ru_utime + usage.ru_stime) * 1e9)
    return Ended(process.returncode, cpu, wall, usage.ru_maxrss * 1024, *texts)


class Place:
    """A variant made ready: its Python, its receiver, and a folder for each run."""

    def __init__(self, variant: Variant, python: Path, receiver: Receiver) -> None:
        """Use this Python and receiver."""
        self.variant = variant
        self.python = python
        self._receiver = receiver
        self.folder = Path(tempfile.mkdtemp(prefix="asyncscope-benchmark-"))

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def clean(self) -> None:
        """Forget what the last run left behind."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self._receiver.take()

    def environment(self) -> dict[str, str]:
        """Return the variables of this variant."""
        own = {
            name: value.format(folder=self.folder, endpoint=self._receiver.endpoint)
            for name, value in self.variant.environment.items()
        }
        return clean_environment() | own

    def recorded(self, out: str, told: dict[str, int]) -> dict[str, int]:
        """Return the counters that show what the tool did in this run."""
        counts = dict(told)
        for kind in self.variant.records:
            counts |= self._READERS[kind](self, out)
        return counts

    def _counters(self, out: str) -> dict[str, int]:
        try:
            counters: dict[str, int] = json.loads((self.folder / "counters.json").read_text())
        except (OSError, ValueError):
            return {"agent_events": 0}
        return {"agent_events": counters["events"]} | counters

    def _spans(self, out: str) -> dict[str, int]:
        return {"spans": self._receiver.take()["spans"]}

    def _lines(self, out: str) -> dict[str, int]:
        path = self.folder / "spans.jsonl"
        return {"file_bytes": path.stat().st_size if path.exists() else 0}

    def _printed(self, out: str) -> dict[str, int]:
        return {"console_bytes": len(out)}

    _READERS: ClassVar[dict[str, Callable[["Place", str], dict[str, int]]]] = {
        "agent": _counters,
        "spans": _spans,
        "file": _lines,
        "console": _printed,
        "peer": lambda self, out: {},
    }


PROOF = {"agent": "agent_events", "spans": "spans", "file": "file_bytes",
         "console": "console_bytes", "peer": "peer_events"}  # fmt: skip
"""The counter that must not be zero, for each kind of record."""


def check_recorded(variant: Variant, recorded: dict[str, int], expected: dict[str, float]) -> None:
    """Refuse a variant that did not do what its name says.

    Raises:
        RunError: a counter is zero, or the agent counted less than the program did.
    """
    records = variant.records if not variant.peer or "tasks_created" in expected else ()
    for kind in records:  # other tools record tasks alone
        if recorded.get(PROOF[kind], 0) <= 0:
            raise RunError(f"{variant.name} recorded nothing ({PROOF[kind]} is 0)")
    if "agent" in variant.records:
        for name, least in expected.items():
            if recorded.get(name, 0) < int(least):
                have = recorded.get(name, 0)
                raise RunError(f"{variant.name} recorded too little: {name} {have} of {least:.0f}")


def run_cases(workload: Workload, place: Place, scale: float, counter: Path | None) -> Run:
    """Run a workload's cases in one process; with a counter, count instructions of one region.

    Raises:
        RunError: it failed, or the variant recorded too little.
    """
    place.clean()
    command: list[str | Path] = [*instructions.command(place.folder)] if counter else []
    command += [place.python, PROGRAMS / "run.py", "--repeat", "3", *workload.options]
    command += ["--counter", counter] if counter else []
    command += ["--peer", place.variant.peer] if place.variant.peer else []
    counts = {
        case.function: max(round(case.count * scale / 100) * 100, 100) for case in workload.cases
    }
    command += [workload.module, *(f"{name}:{count}" for name, count in counts.items())]
    ended = execute(command, place.environment())
    told = last_line(ended)
    expected: dict[str, float] = {}
    for case in workload.cases:
        for name, each in case.records.items():
            done = told["cases"][case.function]["done"]
            expected[name] = expected.get(name, 0.0) + each * done
    recorded = place.recorded(ended.out, told["recorded"])
    try:
        check_recorded(place.variant, recorded, expected)
    except RunError as problem:
        raise RunError(f"{problem}; stderr: {ended.err.strip()[-400:]}") from None
    counted = instructions.read(place.folder) if counter else {}
    cases = {
        name: _figures(found, counts[name], counted.get(name, (0, 0)))
        for name, found in told["cases"].items()
    }
    return Run(cases, ended.cpu_ns, recorded)


def last_line(ended: Ended) -> dict[str, Any]:
    """Return the JSON that a measured program printed.

    Raises:
        RunError: it failed.
    """
    if ended.status == 0:
        for line in reversed(ended.out.splitlines()):
            if line.startswith('{"cases"'):
                told: dict[str, Any] = json.loads(line)
                return told
    raise RunError(f"status {ended.status}: {ended.err.strip()[-400:]}")


def _figures(found: dict[str, Any], operations: int, counted: tuple[int, int]) -> Figures:
    regions = sorted(found["regions"], key=lambda region: int(region["cpu_ns"]))
    middle = regions[len(regions) // 2] if regions else {"cpu_ns": 0, "wall_ns": 0}
    return Figures(
        operations, found["result"], middle["cpu_ns"], middle["wall_ns"], counted[0], counted[1]
    )
