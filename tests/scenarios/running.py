"""Run one program without and with the agent, and judge what was reported."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .environment import is_healthy_here
from .scenario import Expected, Scenario

TIMEOUT_S = 25.0

Finding = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution of a program showed to the outside; `status` is None after a timeout."""

    status: int | None
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one expected finding was met."""

    kind: str
    detected: bool = False
    located: bool = False
    missing_words: tuple[str, ...] = ()
    got: Finding | None = None

    @property
    def explained(self) -> bool:
        """Tell whether it was found at the right place with all the words asked for."""
        return self.located and not self.missing_words


@dataclass(slots=True)
class Outcome:
    """Everything known after both runs of a scenario."""

    scenario: Scenario
    plain: Run
    watched: Run
    findings: list[Finding]
    problems: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def faults(self) -> list[str]:
        """List in words what is not as it has to be; empty means passed."""
        found = list(self.problems)
        for name in ("status", "stdout"):
            plain, watched = getattr(self.plain, name), getattr(self.watched, name)
            if plain != watched:
                found.append(f"{name} changed from {plain!r} to {watched!r}")
        if self.plain.status is None:
            found.append(f"did not end within {TIMEOUT_S} s even without the agent")
        found.extend(describe(verdict) for verdict in self.verdicts if not verdict.explained)
        if is_healthy_here(self.scenario):
            found.extend(f"false alarm: {summary(finding)}" for finding in self.findings)
        return found


def summary(finding: Finding) -> str:
    """Shorten a finding to its kind, place and message."""
    place = finding.get("location") or {}
    where = f"{Path(str(place.get('file'))).name}:{place.get('line')}"
    return f"{finding.get('kind')} at {where}: {finding.get('message')}"


def describe(verdict: Verdict) -> str:
    """Say in words how an expected finding was missed."""
    if verdict.got is None:
        return f"missed {verdict.kind}"
    if not verdict.located:
        return f"wrong place: {summary(verdict.got)}"
    return f"does not mention {', '.join(verdict.missing_words)}: {summary(verdict.got)}"


def execute(scenario: Scenario, settings: dict[str, str]) -> Run:
    """Run the program in a session of its own, with a clean environment plus `settings`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCSCOPE_")}
    env.update(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0", **settings)
    # Scripts of the programs begin with `env python3`.
    env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), env.get("PATH", os.defpath)))
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(scenario.path)],
        env=env,
        cwd=scenario.path.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        status: int | None
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            status = None
    elapsed = time.perf_counter() - started
    return Run(status, out.decode(errors="replace"), err.decode(errors="replace"), elapsed)


def read_report(report: Path) -> tuple[list[Finding], list[str]]:
    """Collect the findings of a report and of those of child processes, and what was wrong."""
    findings: list[Finding] = []
    problems: list[str] = []
    if not report.exists():
        problems.append("no report was written")
    for path in sorted(report.parent.glob(f"{report.name}*")):
        try:
            findings.extend(json.loads(path.read_text(encoding="utf-8"))["findings"])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problems.append(f"report {path.name}: {type(exc).__name__}: {exc}")
    return findings, problems


def _places(finding: Finding) -> set[tuple[str, int]]:
    places = [finding.get("location"), *(finding.get("related") or ())]
    return {(Path(place["file"]).name, place["line"]) for place in places if place}


def judge(expected: Expected, scenario: Scenario, findings: list[Finding]) -> Verdict:
    """Find the reported finding that meets the expectation best."""
    best = Verdict(expected.kind)
    wanted = {(scenario.path.name, line) for line in expected.lines}
    for finding in findings:
        if finding.get("kind") != expected.kind:
            continue
        text = json.dumps(finding, ensure_ascii=False)
        missing = tuple(word for word in expected.mention if word not in text)
        located = bool(wanted & _places(finding))
        candidate = Verdict(expected.kind, True, located, missing, finding)
        if best.got is None or (located, -len(missing)) > (best.located, -len(best.missing_words)):
            best = candidate
    return best


def measure(scenario: Scenario) -> Outcome:
    """Run a scenario plainly and under the agent; compare and judge."""
    plain = execute(scenario, {})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        settings = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_REPORT": str(report)}
        watched = execute(scenario, settings)
        findings, problems = read_report(report)
    outcome = Outcome(scenario, plain, watched, findings, problems)
    if not is_healthy_here(scenario):
        outcome.verdicts = [judge(expected, scenario, findings) for expected in scenario.expected]
    return outcome
