"""Measure what asyncscope costs: `python -m tests.benchmarks`.

Every round runs each workload once under each variant, in an order that rotates; a figure is
the ratio to the bare program in the same round. The table shows the median over the rounds
with the smallest and the largest value, then the nanoseconds (with --instructions: instructions)
that one operation costs more. A variant that recorded nothing, or whose program had another
result, is refused.
"""

import argparse
import sys
from pathlib import Path

from .environments import ROOT
from .measuring import Plan, measure
from .variants import USUAL, VARIANTS
from .workloads import WORKLOADS


def _arguments(words: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description=__doc__, formatter_class=raw
    )
    workloads = [workload.name for workload in WORKLOADS]
    variants = [variant.name for variant in VARIANTS]
    usual = [workload.name for workload in WORKLOADS if workload.usual]
    parser.add_argument("--workloads", nargs="+", choices=workloads, default=usual)
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=[*variants, "all"],
        default=list(USUAL),
        metavar="VARIANT",
        help=f"{', '.join(variants)}, all",
    )
    parser.add_argument("--rounds", type=int, help="default 7; with --instructions 1")
    parser.add_argument("--scale", type=float, help="times the usual counts")
    parser.add_argument(
        "--python",
        nargs="+",
        type=Path,
        default=[Path(sys.executable)],
        help="interpreters that have the packages of the test group",
    )
    parser.add_argument(
        "--instructions",
        action="store_true",
        help="count instructions with callgrind instead of time",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="measure the agent of another checkout as well, as `agent before`",
    )
    parser.add_argument("--json", type=Path, help="write the raw figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    return parser.parse_args(words)  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; return 1 if a run failed or was refused."""
    asked = _arguments(words)
    names = [variant.name for variant in VARIANTS] if "all" in asked.variants else asked.variants
    plan = Plan(
        workloads=[workload for workload in WORKLOADS if workload.name in asked.workloads],
        variants=[variant for variant in VARIANTS if variant.name in names],
        rounds=asked.rounds or (1 if asked.instructions else 7),
        scale=asked.scale or (0.1 if asked.instructions else 1.0),
        instructions=asked.instructions,
        checkout=ROOT,
        against=asked.against,
    )
    report = measure(plan, asked.python, _say)
    text = report.markdown()
    sys.stdout.write(text + "\n")
    if asked.json:
        asked.json.write_text(report.json())
    if asked.markdown:
        asked.markdown.write_text(text + "\n")
    return 1 if report.problems else 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
