"""Measure everything and write the tables into a page: `python -m tests.benchmarks.complete`.

The page is docs/performance.md, between two marks. It is written after each section, so that a run
that is broken off leaves what was measured. On a quiet machine it takes a quarter of an hour for
each interpreter.
"""

import argparse
import sys
from pathlib import Path

from .environments import ROOT
from .measuring import Plan, measure
from .variants import BARE, PEERS, USUAL, VARIANTS
from .workloads import WORKLOADS

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def sections(rounds: int, part: float = 1.0) -> dict[str, Plan]:
    """Return what is measured under each heading, with a part of the usual counts."""

    def plan(workloads: list[str], variants: list[str], times: int, scale: float = 1.0) -> Plan:
        return Plan(
            workloads=[item for item in WORKLOADS if item.name in workloads],
            variants=[item for item in VARIANTS if item.name in variants],
            rounds=times,
            scale=scale * part,
            instructions=False,
            checkout=ROOT,
        )

    usual = [item.name for item in WORKLOADS if item.usual and item.kind != "startup"]
    tools = [BARE, "agent", "asyncio debug", *PEERS]
    return {
        "The agent and its exporters": plan(usual, list(USUAL), rounds),
        "Start-up": plan(["startup"], [BARE, "bare again", "off", "agent", "otlp"], rounds),
        "Growth: live tasks, depth, open scopes, rate of events": plan(
            ["scaling", "rates"], [BARE, "agent"], max(rounds // 2, 1)
        ),
        "Memory, idle programs and snapshots": plan(
            ["memory", "idle", "snapshot"], [BARE, "agent", "otlp"], 1, 1 / part
        ),
        "Beside other tools": plan(
            ["tasks", "groups", "scopes", "locks", "generators", "awaits", "echo"],
            tools,
            max(rounds // 2, 1),
            0.3,
        ),
    }


def put_in(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        ValueError: the page has no marks.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main(words: list[str] | None = None) -> int:
    """Measure, and write the page; return 1 if a run failed or was refused."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.complete", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual counts")
    parser.add_argument("--python", nargs="+", type=Path, default=[Path(sys.executable)])
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--sections", type=int, nargs="+", help="numbers of sections, from 1")
    asked = parser.parse_args(words)
    parts, problems = [], 0
    for number, (heading, plan) in enumerate(sections(asked.rounds, asked.scale).items(), 1):
        if asked.sections and number not in asked.sections:
            continue
        sys.stderr.write(f"{heading}\n")
        report = measure(plan, asked.python, lambda line: print(line, file=sys.stderr, flush=True))
        problems += len(report.problems)
        parts.append(f"### {heading}\n\n{report.markdown(level=4)}")
        put_in(asked.into, "\n\n".join(parts))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
