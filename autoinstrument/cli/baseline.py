"""`asyncscope baseline REPORT`: accept known findings, so that an old program can start."""

import argparse
import json
import sys

from autoinstrument.findings import Finding, fingerprint
from autoinstrument.places import Place

SUMMARY = "Write a baseline file: the findings of a report are known from now on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the reports and where to write."""
    parser.add_argument("reports", nargs="+", metavar="REPORT", help="a JSON report of asyncscope")
    parser.add_argument(
        "-o",
        "--output",
        default="asyncscope-baseline.json",
        metavar="PATH",
        help="the file to write (default: %(default)s); use it as ASYNCSCOPE_BASELINE",
    )


def run(options: argparse.Namespace) -> int:
    """Write the baseline and say how many findings it knows."""
    known: set[str] = set()
    for path in options.reports:
        try:
            with open(path, encoding="utf-8") as stream:
                known |= {_fingerprint(item) for item in json.load(stream)["findings"]}
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problem = f"{path} is no report that can be read ({type(exc).__name__}: {exc})"
            print(f"asyncscope baseline: {problem}", file=sys.stderr)
            return 2
    try:
        with open(options.output, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "known": sorted(known)}, stream, indent=1)
            stream.write("\n")
    except OSError as exc:
        print(f"asyncscope baseline: {options.output} cannot be written: {exc}", file=sys.stderr)
        return 2
    print(f"{len(known)} known findings written to {options.output}")
    return 0


def _fingerprint(item: dict[str, object]) -> str:
    place = item.get("location")
    location = None
    if isinstance(place, dict):
        location = Place(str(place["file"]), int(place["line"]), str(place["function"]))
    return fingerprint(Finding(str(item["kind"]), "", "", location))
