"""The JSON report, version 1, and the small file of counters."""

import contextlib
import datetime
import json
import os
import sys
from importlib import import_module
from typing import Any, Final

from autoinstrument.records import Finding, Place

VERSION: Final = 1

# of the compiled module: a program may have replaced `os.getpid` before this is imported
_getpid = import_module(os.name).getpid


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
        "process": {
            "pid": _getpid(),
            "python": sys.version.split()[0],
            "argv": list(getattr(sys, "argv", [])[:1]),
            "started": timestamp(started),
            "ended": timestamp(ended),
        },
        "findings": [_finding(finding) for finding in findings],
        "statistics": statistics,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "message": finding.message,
        "remedy": finding.remedy,
        "severity": finding.severity,
        "possible": finding.possible,
        "count": finding.count,
        "first_seen": timestamp(finding.first_seen),
        "task": finding.task,
        "location": _place(finding.location) if finding.location is not None else None,
        "related": [
            {"role": item.role, **_place(item.place), "task": item.task} for item in finding.related
        ],
        "stack": [_place(place) for place in finding.stack],
    }


def _place(place: Place) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, "function": place.function}


def write(path: str, document: dict[str, Any]) -> str:
    """Write a document for its owner only; return "" or what went wrong.

    The file appears whole or not at all.
    """
    temporary = f"{path}.{_getpid()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, ensure_ascii=True)
        os.replace(temporary, path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return f"{path!r} cannot be written ({exc.strerror or exc})"
    return ""
