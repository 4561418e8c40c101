"""Workloads that are whole processes: start-up, a web service under load, memory, snapshots."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from . import instructions
from .running import (
    PROGRAMS,
    TIMEOUT_S,
    Figures,
    Place,
    Run,
    RunError,
    check_recorded,
    execute,
    last_line,
)
from .workloads import Case, Workload

SNIPPETS = {
    "no_asyncio": "pass",
    "import_asyncio": "import asyncio",
    "asyncio_run": "import asyncio\nasync def main(): pass\nasyncio.run(main())",
}


def run_startup(workload: Workload, place: Place, scale: float, counter: Path | None) -> Run:
    """Start Python on short programs; each figure is the lesser of two whole processes.

    Raises:
        RunError: one of them failed, or the agent did not see the loop.
    """
    cases, whole = {}, 0
    warm = execute([place.python, "-c", SNIPPETS["asyncio_run"]], place.environment())
    if warm.status:
        raise RunError(f"status {warm.status}: {warm.err[-300:]}")
    for name, code in SNIPPETS.items():
        place.clean()
        before = instructions.command(place.folder, whole=True) if counter else []
        runs = [
            execute([*before, place.python, "-c", code], place.environment())
            for _ in range(1 if counter else 2)
        ]
        for ended in runs:
            if ended.status or ended.out:
                raise RunError(f"{name}: status {ended.status}: {ended.err[-300:]}")
        best = min(runs, key=lambda ended: ended.cpu_ns)
        counted = instructions.read_whole(place.folder) if counter else 0
        cases[name] = Figures(1, "", best.cpu_ns, best.wall_ns, counted)
        whole += best.cpu_ns
    recorded = place.recorded("", {})
    check_recorded(place.variant, recorded, {"loops_seen": 1.0})
    return Run(cases, whole, recorded)


class _Service:
    """The web service as a process; requests come from a second process."""

    def __init__(self, place: Place, sink: BinaryIO) -> None:
        self._port_file = place.folder / "port"
        self.process = subprocess.Popen(
            [place.python, PROGRAMS / "service.py", self._port_file],
            env=place.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )

    def _port(self) -> str:
        """Wait until it listens."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if self._port_file.exists() and (text := self._port_file.read_text()):
                return text
            time.sleep(0.02)
        raise RunError("the service does not start")

    def _cpu_ns(self) -> int:
        """Ask it for its CPU time so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("mark\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            if line.startswith('{"cpu_ns"'):  # the console exporter prints here as well
                return int(json.loads(line)["cpu_ns"])
        raise RunError("the service ended")

    def under_load(self, case: Case, scale: float) -> tuple[Figures, int]:
        """Measure a case; return its figures, and how many requests were sent in all."""
        path = "/work" if case.function == "http_work" else "/"
        requests = max(round(case.count * scale / 80) * 80, 80)
        warm_up = requests // 80 * 8
        answers: dict[str, int] = {}
        cpu, wall = 0, 0
        for number in (warm_up, requests):
            load = [sys.executable, str(PROGRAMS / "load.py"), self._port(), path, str(number)]
            cpu, wall = self._cpu_ns(), time.perf_counter_ns()
            done = subprocess.run(
                load, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
            wall, cpu = time.perf_counter_ns() - wall, self._cpu_ns() - cpu
            if done.returncode:
                raise RunError(f"the load failed: {done.stderr[-300:]}")
            answers = json.loads(done.stdout)
        return Figures(requests, answers, cpu, wall), requests + warm_up


def run_service(workload: Workload, place: Place, scale: float, counter: Path | None) -> Run:
    """Start the service and send requests to it from a second process.

    Raises:
        RunError: it did not start or answer, or the variant recorded too little.
    """
    place.clean()
    cases: dict[str, Figures] = {}
    expected: dict[str, float] = {}
    with (place.folder / "errors").open("w+b") as sink:
        service = _Service(place, sink)
        try:
            for case in workload.cases:
                cases[case.function], sent = service.under_load(case, scale)
                for name, each in case.records.items():
                    expected[name] = expected.get(name, 0.0) + each * sent
            out, _ = service.process.communicate(timeout=60)
        except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
            sink.seek(0)
            raise RunError(f"{type(exc).__name__}: {exc}; {sink.read()[-300:]!r}") from exc
        finally:
            if service.process.poll() is None:
                service.process.kill()
                service.process.wait()
    recorded = place.recorded(out, {})
    check_recorded(place.variant, recorded, expected)
    return Run(cases, round(sum(figures.cpu_ns for figures in cases.values())), recorded)


def run_script(workload: Workload, place: Place, scale: float, counter: Path | None) -> Run:
    """Run a script that measures itself and tells what it found in `extra`.

    Raises:
        RunError: it failed, or the variant recorded too little.
    """
    place.clean()
    counts = {case.function: max(round(case.count * scale), 400) for case in workload.cases}
    words = [f"{name}:{count}" for name, count in counts.items()]
    ended = execute([place.python, PROGRAMS / f"{workload.module}.py", *words], place.environment())
    told: dict[str, Any] = last_line(ended)
    expected: dict[str, float] = {}
    for case in workload.cases:
        for name, each in case.records.items():
            expected[name] = expected.get(name, 0.0) + each * told["cases"][case.function]["done"]
    recorded = place.recorded(ended.out, {})
    check_recorded(place.variant, recorded, expected)
    cases = {
        name: Figures(counts[name], found["result"], extra=found["extra"])
        for name, found in told["cases"].items()
    }
    for figures in cases.values():
        figures.extra["peak_bytes"] = float(ended.peak_bytes)
    return Run(cases, ended.cpu_ns, recorded)
