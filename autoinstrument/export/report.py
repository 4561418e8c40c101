"""The JSON report, version 1, and the small file of counters."""

import datetime
import json
import sys
from typing import Any, Final

from autoinstrument.arguments import redacted
from autoinstrument.export import files
from autoinstrument.findings import Finding
from autoinstrument.places import Place

VERSION: Final = 1


def timestamp(seconds: float) -> str:
    """Return an RFC 3339 time in UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def report(
    findings: list[Finding], statistics: dict[str, dict[str, int]], started: float, ended: float
) -> dict[str, Any]:
    """Return the report as a document; times are seconds since the epoch."""
    return {
        "version": VERSION,
        "process": {**process(started), "ended": timestamp(ended)},
        "findings": [finding_document(finding) for finding in findings],
        "statistics": statistics,
    }


def process(started: float) -> dict[str, Any]:
    """Return what is said about this process; secrets in its arguments are left out."""
    return {
        "pid": files.getpid(),
        "python": sys.version.split()[0],
        "argv": redacted(list(getattr(sys, "argv", []))),
        "started": timestamp(started),
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return one finding as it stands in reports and recordings."""
    return {
        "kind": finding.kind,
        "message": finding.message,
        "remedy": finding.remedy,
        "severity": finding.severity,
        "possible": finding.possible,
        "count": finding.count,
        "first_seen": timestamp(finding.first_seen),
        "task": finding.task,
        "location": place_document(finding.location) if finding.location is not None else None,
        "related": [
            {"role": item.role, **place_document(item.place), "task": item.task}
            for item in finding.related
        ],
        "stack": [place_document(place) for place in finding.stack],
    }


def place_document(place: Place) -> dict[str, Any]:
    """Return a line of source."""
    return {"file": place.file, "line": place.line, "function": place.function}


def write(path: str, document: dict[str, Any]) -> str:
    """Write a document for its owner only; return "" or what went wrong.

    The file appears whole or not at all.
    """
    try:
        files.replace(path, json.dumps(document, indent=1, ensure_ascii=True).encode("ascii"))
    except (OSError, ValueError) as exc:
        return f"{path!r} cannot be written ({getattr(exc, 'strerror', None) or exc})"
    return ""
