"""`asyncscope ps`: the watched processes of this user, and which of them has which debug port."""

import argparse
import json
import time
from collections.abc import Iterable
from typing import Any, Final

from autoinstrument import registry

SUMMARY = "List the watched processes of this user, with their debug ports"
_ESTABLISHED: Final = "01"  # of a connection in /proc/net/tcp
_COLUMNS: Final = ("PID", "PYTHON", "UP", "DEBUG PORT", "COMMAND")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "A process is listed from its first event loop on. `asyncscope debug PID` opens a debug "
        "port in one of them."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(options: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    entries = [described(entry) for entry in registry.processes()]
    if options.json:
        print(json.dumps(entries, indent=1))
        return 0
    if not entries:
        print("no process of this user is watched, or has a debug port")
        return 0
    print(table(entries, time.time()))
    return 0


def described(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be shown of an entry of the registry."""
    debug = entry.get("debug") or {}
    port = debug.get("port")
    return {
        "pid": entry["pid"],
        "python": entry.get("python", ""),
        "command": entry.get("command", []),
        "watched": entry.get("watched", False),
        "started": entry.get("started") or debug.get("started"),
        "debug_host": debug.get("host"),
        "debug_port": port,
        "debug_client": port in ports_with_client() if port else False,
        "debug_note": entry.get("debug_note", ""),
    }


def table(entries: Iterable[dict[str, Any]], now: float) -> str:
    """Return the entries as a table with one line each."""
    rows = [_COLUMNS, *(_row(entry, now) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def _row(entry: dict[str, Any], now: float) -> tuple[str, ...]:
    port = "-"
    if entry["debug_port"]:
        port = f"{entry['debug_host']}:{entry['debug_port']}".removeprefix("127.0.0.1:")
        port += " (client attached)" if entry["debug_client"] else ""
    if entry["debug_note"]:
        port += f" ({entry['debug_note']})"
    since = entry["started"]
    command = " ".join(map(str, entry["command"])).replace("\n", " ")
    return (
        str(entry["pid"]),
        entry["python"],
        duration(now - since) if since else "?",
        port,
        command if entry["watched"] else f"{command} (not watched)",
    )


def duration(seconds: float) -> str:
    """Return a time span in its two largest units: `3h07m`, `41s`."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def ports_with_client() -> set[int]:
    """Return the local ports with an established connection; empty where that cannot be seen."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as stream:
                lines = stream.read().splitlines()[1:]
        except OSError:
            continue
        for words in map(str.split, lines):
            if words[3] == _ESTABLISHED:
                found.add(int(words[1].rpartition(":")[2], 16))
    return found
