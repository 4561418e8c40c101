"""Run workloads under variants in interleaved rounds, and keep what came out."""

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import tables
from .environments import Environments
from .instructions import compile_counter
from .processes import run_script, run_service, run_startup
from .receiver import Receiver
from .running import Place, Run, RunError, run_cases
from .variants import BARE, VARIANTS, Variant
from .workloads import SELF_MEASURED, Workload

RUNNERS: Final = {
    "functions": run_cases,
    "service": run_service,
    "startup": run_startup,
    "script": run_script,
}
Say = Callable[[str], None]
_PACKAGES = ("anyio", "uvloop", "uvicorn", "starlette")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `against` is another checkout, measured as `agent before`."""

    workloads: list[Workload]
    variants: list[Variant]
    rounds: int
    scale: float
    instructions: bool
    checkout: Path
    against: Path | None = None


@dataclass(slots=True)
class Report:
    """Results by Python version and workload, and what went wrong, in words."""

    plan: Plan
    results: dict[str, dict[str, tables.Rounds]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def markdown(self, level: int = 2) -> str:
        """Return all tables, under headings of this level."""
        parts = [f"{_machine()}; {self.plan.rounds} rounds, {datetime.date.today().isoformat()}."]
        for version, results in self.results.items():
            names = list(dict.fromkeys(name for rounds in results.values() for name in rounds))
            parts += [f"{'#' * level} Python {version}", self.versions[version]]
            timed = {key: rounds for key, rounds in results.items() if key not in SELF_MEASURED}
            own = {key: rounds for key, rounds in results.items() if key in SELF_MEASURED}
            if self.plan.instructions:
                parts += ["Instructions", tables.per_case(timed, names, tables.counted, 3)]
            elif timed:
                parts += ["CPU time", tables.per_case(timed, names, tables.cpu)]
                parts += ["Time that passed", tables.per_case(timed, names, tables.wall)]
                parts += ["Whole process", tables.whole_process(timed, names)]
            parts += [tables.extras(rounds, names) for rounds in own.values()]
            parts += ["Recorded", tables.recorded(results, names)]
        if self.problems:
            parts += ["Not measured:", "\n".join(f"- {line}" for line in self.problems)]
        return "\n\n".join(parts)

    def json(self) -> str:
        """Return the raw figures."""
        raw = {
            version: {
                workload: {
                    name: [dataclasses.asdict(run) if run else None for run in runs]
                    for name, runs in rounds.items()
                }
                for workload, rounds in results.items()
            }
            for version, results in self.results.items()
        }
        document = {"machine": _machine(), "versions": self.versions, "problems": self.problems}
        return json.dumps(document | {"results": raw}, indent=1)


def _machine() -> str:
    return f"{os.cpu_count()} cores {platform.machine()}, {platform.system()} {platform.release()}"


def measure(plan: Plan, pythons: list[Path], say: Say) -> Report:
    """Run the plan with each interpreter; what fails is noted and left out of the tables."""
    report = Report(plan)
    counter = compile_counter() if plan.instructions else None
    for python in pythons:
        environments = Environments(python)
        with Receiver() as receiver, ExitStack() as stack:
            session = _Session(plan, report, environments, counter)
            for place in session.make_places(receiver):
                stack.callback(place.close)
            for round_ in range(plan.rounds):
                for workload in plan.workloads:
                    session.round(workload, round_)
                say(f"Python {session.version}: round {round_ + 1} of {plan.rounds} done")
    for problem in report.problems:
        say(problem)
    return report


class _Session:
    """The rounds of one interpreter."""

    def __init__(
        self, plan: Plan, report: Report, environments: Environments, counter: Path | None
    ) -> None:
        self._plan = plan
        self._report = report
        self._environments = environments
        self._counter = counter
        self._places: list[Place] = []
        self.version = environments.version()
        self._results = report.results.setdefault(self.version, {})
        report.versions[self.version] = ", ".join(environments.versions(*_PACKAGES))

    def make_places(self, receiver: Receiver) -> list[Place]:
        """Make the variants ready; one that cannot be installed is left out, with a line."""
        chosen = list(self._plan.variants)
        if all(variant.name != BARE for variant in chosen):
            chosen.insert(0, VARIANTS[0])
        for variant in chosen:
            try:
                python = self._python(variant)
            except RuntimeError as problem:
                self._report.problems.append(f"{variant.name} cannot be installed: {problem}")
                continue
            self._places.append(Place(variant, python, receiver))
            if variant.name == "agent" and self._plan.against is not None:
                before = dataclasses.replace(variant, name="agent before")
                python = self._environments.with_agent(self._plan.against)
                self._places.append(Place(before, python, receiver))
        return self._places

    def _python(self, variant: Variant) -> Path:
        if variant.agent:
            return self._environments.with_agent(self._plan.checkout)
        if variant.packages:
            return self._environments.with_packages(variant.name, variant.packages)
        return self._environments.bare()

    def round(self, workload: Workload, number: int) -> None:
        """Run a workload once under each variant, in an order that rotates with the rounds."""
        names = [place.variant.name for place in self._places]
        rounds = self._results.setdefault(workload.name, {name: [] for name in names})
        shift = number % len(self._places)
        for place in self._places[shift:] + self._places[:shift]:
            rounds[place.variant.name].append(self._run(workload, place))
        self._drop_wrong_results(workload, rounds)

    def _run(self, workload: Workload, place: Place) -> Run | None:
        if place.variant.peer and workload.kind != "functions":
            return None
        try:
            return RUNNERS[workload.kind](workload, place, self._plan.scale, self._counter)
        except RunError as problem:
            self._note(workload, place.variant.name, str(problem))
            return None

    def _drop_wrong_results(self, workload: Workload, rounds: tables.Rounds) -> None:
        bare = rounds[BARE][-1]
        for name, runs in rounds.items():
            run = runs[-1]
            for case, figures in run.cases.items() if run is not None and bare is not None else ():
                if bare is not None and figures.result != bare.cases[case].result:
                    self._note(workload, name, f"{case} has another result")
                    runs[-1] = None

    def _note(self, workload: Workload, variant: str, problem: str) -> None:
        self._report.problems.append(
            f"Python {self.version}, {workload.name}, {variant}: {problem}"
        )
