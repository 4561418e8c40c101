"""Run the scenarios and print a table: `python -m tests.scenarios [part of an id ...]`.

`--plain` runs the programs twice without the agent and compares the two runs; it finds
programs whose output is not the same each time. `--jobs N` runs N scenarios at once.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from .environment import is_healthy_here, reason_to_skip
from .running import Outcome, execute, measure
from .scenario import Scenario, all_scenarios

_COLUMNS = ("expected", "detected", "located", "explained")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _count(outcomes: Iterable[Outcome]) -> dict[str, Counter[str]]:
    kinds: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        for verdict in outcome.verdicts:
            row = kinds.setdefault(verdict.kind, Counter())
            row["expected"] += 1
            for column in _COLUMNS[1:]:
                row[column] += getattr(verdict, column)
    return kinds


def _print_table(outcomes: list[Outcome]) -> None:
    kinds = _count(outcomes)
    rows = [*sorted(kinds.items()), ("all", sum(kinds.values(), Counter()))]
    _say(f"{'kind':34}" + "".join(f"{column:>10}" for column in _COLUMNS))
    for kind, row in rows:
        _say(f"{kind:34}" + "".join(f"{row[column]:10}" for column in _COLUMNS))
    healthy = [outcome for outcome in outcomes if is_healthy_here(outcome.scenario)]
    silent = sum(not outcome.faults() for outcome in healthy)
    _say(f"healthy programs passed: {silent} of {len(healthy)}")
    same = sum(
        (outcome.plain.status, outcome.plain.stdout)
        == (outcome.watched.status, outcome.watched.stdout)
        for outcome in outcomes
    )
    _say(f"behaviour unchanged: {same} of {len(outcomes)}")


def _compare_plain(scenario: Scenario) -> str | None:
    first, second = execute(scenario, {}), execute(scenario, {})
    if first.status is None:
        return "does not end"
    if (first.status, first.stdout) != (second.status, second.stdout):
        return f"differs: {first.status} {first.stdout!r}, then {second.status} {second.stdout!r}"
    if max(first.seconds, second.seconds) > 6:
        return f"takes {max(first.seconds, second.seconds):.1f} s"
    return None


def _run_plain(chosen: list[Scenario], jobs: int, show: bool) -> int:
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        for scenario, fault in zip(chosen, pool.map(_compare_plain, chosen), strict=True):
            failed += fault is not None
            if fault or show:
                _say(f"{scenario.id}: {fault or 'same twice'}")
    _say(f"{len(chosen)} programs, {failed} not repeatable")
    return int(failed > 0)


def _run_watched(chosen: list[Scenario], jobs: int) -> int:
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = []
        for outcome in pool.map(measure, chosen):
            outcomes.append(outcome)
            faults = outcome.faults()
            failed += bool(faults)
            _say(f"{'FAIL' if faults else 'ok  '} {outcome.scenario.id}")
            for fault in faults:
                _say(f"       {fault}")
    _print_table(outcomes)
    return int(failed > 0)


def main() -> int:
    """Parse the command line, run what was asked for; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("parts", nargs="*", help="parts of the ids to run; default: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--show", action="store_true", help="with --plain: name the good ones too")
    options = parser.parse_args()
    chosen = []
    for scenario in all_scenarios():
        if options.parts and not any(part in scenario.id for part in options.parts):
            continue
        if reason := reason_to_skip(scenario):
            _say(f"skip {scenario.id}: {reason}")
        else:
            chosen.append(scenario)
    if options.plain:
        return _run_plain(chosen, options.jobs, options.show)
    return _run_watched(chosen, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
