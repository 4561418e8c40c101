"""`asyncscope recording FILE`: what a recording tells, also of a process that was killed."""

import argparse
import json
import sys
from datetime import datetime
from typing import Any

from autoinstrument.export import console
from autoinstrument.export.recording import Recording, read_recording
from autoinstrument.findings import Finding, Related
from autoinstrument.places import Place

SUMMARY = "Show what a recording tells: findings, and where the open tasks were waiting"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the file."""
    parser.add_argument("file", metavar="FILE", help="what ASYNCSCOPE_RECORD has written")
    parser.add_argument("--json", action="store_true", help="print it as a report")


def run(options: argparse.Namespace) -> int:
    """Print the recording."""
    try:
        recording = read_recording(options.file)
        if options.json:
            print(json.dumps(recording.report(), indent=1))
        else:
            print(told(recording), end="")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        print(f"asyncscope recording: {options.file} cannot be read: {exc}", file=sys.stderr)
        return 2
    return 0


def told(recording: Recording) -> str:
    """Return the recording as text."""
    process = recording.process
    ending = "ended" if recording.ended else "was not seen to end: it runs yet, or was killed"
    notes = [f"process {process['pid']} {ending}; the last line is of {recording.at}"]
    if recording.dropped:
        notes.append(f"{recording.dropped} older lines were left out at the file's bound")
    if recording.damaged:
        notes.append(f"{recording.damaged} lines are damaged and left out")
    counts = {
        "tasks": {"created": 0},
        "scopes": {"entered": 0},
        "generators": {"started": 0},
        **recording.statistics,
    }
    findings = [_finding(item) for item in recording.report()["findings"]]
    seconds = _seconds(process["started"], recording.at)
    lines = [console.summary(findings, counts, seconds, notes=notes)]
    if recording.tasks:
        lines.append(f"asyncscope: {len(recording.tasks)} tasks were open:\n")
        lines += [f"  {console.plain(_waiting(task))}\n" for task in recording.tasks]
    return "".join(lines)


def _waiting(task: dict[str, Any]) -> str:
    place = task.get("waiting_at")
    where = f" at {place['file']}:{place['line']} in {place['function']}" if place else ""
    what = f" for {task['waits_for']}" if task.get("waits_for") else ""
    return f'task "{task.get("name")}" ({task.get("qualname")}) waited{where}{what}'


def _seconds(started: str, at: str) -> float:
    return (datetime.fromisoformat(at) - datetime.fromisoformat(started)).total_seconds()


def _finding(item: dict[str, Any]) -> Finding:
    return Finding(
        item["kind"],
        item["message"],
        item["remedy"],
        _place(item["location"]) if item["location"] else None,
        severity=item["severity"],
        task=item["task"],
        related=[Related(one["role"], _place(one), one["task"]) for one in item["related"]],
        stack=[_place(one) for one in item["stack"]],
        count=item["count"],
        possible=item["possible"],
    )


def _place(item: dict[str, Any]) -> Place:
    return Place(item["file"], item["line"], item["function"])
