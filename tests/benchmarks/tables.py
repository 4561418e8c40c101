"""Tables of the results, as Markdown."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from .running import Figures, Run
from .variants import BARE
from .workloads import GOALS

Rounds = dict[str, list[Run | None]]
"""The runs of one workload by variant; None is a run that failed."""

Measure = Callable[[Figures], float]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return `median [min..max]`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}..{high:.{digits}f}]"


def pairs(rounds: Rounds, variant: str) -> list[tuple[Run, Run]]:
    """Return the runs of a variant, each with the bare run of the same round."""
    both = zip(rounds[variant], rounds[BARE], strict=True)
    return [(run, bare) for run, bare in both if run is not None and bare is not None]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(first: str, names: Sequence[str]) -> list[str]:
    return [_row([first, *names]), "|---|" + "--:|" * len(names)]


def cpu(figures: Figures) -> float:
    """Return the CPU time of the region, all threads."""
    return figures.cpu_ns


def wall(figures: Figures) -> float:
    """Return the time that passed."""
    return figures.wall_ns


def counted(figures: Figures) -> float:
    """Return the instructions of the thread that ran the region."""
    return figures.instructions


def _cell(rounds: Rounds, variant: str, case: str, measure: Measure, digits: int) -> str:
    found = [(run.cases[case], bare.cases[case]) for run, bare in pairs(rounds, variant)]
    if not found:
        return "-"
    if any(measure(bare) <= 0 for _, bare in found):
        return "n/a"
    ratios = [measure(run) / measure(bare) for run, bare in found]
    added = statistics.median(
        (measure(run) - measure(bare)) / run.operations for run, bare in found
    )
    figure = spread(ratios, digits) if len(ratios) > 1 else f"{ratios[0]:.{digits}f}"
    return f"{figure} {added:+.0f}"


def per_case(
    results: dict[str, Rounds], variants: Sequence[str], measure: Measure, digits: int = 2
) -> str:
    """Return the table of ratios to the bare program, then what one operation costs more.

    There are no goals for the time that passes.
    """
    names = [name for name in variants if name != BARE]
    goals = {} if measure is wall else GOALS
    lines = _head("workload", ["bare, per operation", *["goal / OTLP"] * bool(goals), *names])
    for workload, rounds in results.items():
        runs = [run for run in rounds[BARE] if run is not None]
        for case in runs[0].cases if runs else ():
            each = statistics.median(
                measure(run.cases[case]) / run.cases[case].operations for run in runs
            )
            cells = [_cell(rounds, name, case, measure, digits) for name in names if name in rounds]
            shown = "echo, uvloop" if workload == "echo-uvloop" else case
            goal = [goals.get(case, "")] if goals else []
            lines.append(_row([shown, f"{each:,.0f}", *goal, *cells]))
    return "\n".join(lines)


def whole_process(results: dict[str, Rounds], variants: Sequence[str]) -> str:
    """Return the table of CPU time from start to exit, start-up and export at exit included."""
    names = [name for name in variants if name != BARE]
    lines = _head("process", names)
    for workload, rounds in results.items():
        cells = []
        for name in names:
            ratios = [run.whole_cpu_ns / bare.whole_cpu_ns for run, bare in pairs(rounds, name)]
            cells.append(spread(ratios) if ratios else "-")
        lines.append(_row([workload, *cells]))
    return "\n".join(lines)


def recorded(results: dict[str, Rounds], variants: Sequence[str]) -> str:
    """Return the table of what each variant recorded in the last round: the proof of its work."""
    names = [name for name in variants if not name.startswith(BARE)]
    lines = _head("process", names)
    for workload, rounds in results.items():
        cells = []
        for name in names:
            runs = [run for run in rounds[name] if run is not None]
            seen = runs[-1].recorded if runs else {}
            wanted = ("agent_events", "spans", "file_bytes", "console_bytes", "peer_events")
            cells.append(", ".join(f"{seen[key]:,} {key}" for key in wanted if key in seen))
        lines.append(_row([workload, *cells]))
    return "\n".join(lines)


def extras(rounds: Rounds, variants: Sequence[str]) -> str:
    """Return the table of what a workload measured itself, medians over the rounds."""
    runs = {name: [run for run in rounds[name] if run is not None] for name in variants}
    figures = dict.fromkeys(
        (case, key)
        for found in runs.values()
        for run in found
        for case, told in run.cases.items()
        for key in told.extra
    )
    lines = _head("figure", variants)
    for case, key in figures:
        cells = []
        for found in runs.values():
            values = [run.cases[case].extra[key] for run in found if key in run.cases[case].extra]
            cells.append(f"{statistics.median(values):,.1f}" if values else "")
        lines.append(_row([f"{case}, {key}", *cells]))
    return "\n".join(lines)
