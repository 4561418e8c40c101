"""Tell other processes of the same user which process has which debug port.

It is a part of the process's entry in `registry.py`; `asyncscope ps` and `DebugpyServerManager`
read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from autoinstrument import registry


@dataclass(frozen=True, slots=True)
class Announcement:
    """A process with an open debug port.

    Attributes:
        started: When the port was opened, in seconds since 1970.
    """

    pid: int
    host: str
    port: int
    program: str
    started: float


def announce(announcement: Announcement) -> bool:
    """Publish this process's port; say whether there is a safe place for it."""
    return registry.publish(
        debug={
            "host": announcement.host,
            "port": announcement.port,
            "program": announcement.program,
            "started": announcement.started,
        }
    )


def ask_for(port: int) -> None:
    """Publish that this process is about to open a port, before it tries."""
    registry.publish(debug_asks=port)


def holder_of(port: int) -> str:
    """Return which process of this user has a port, or is about to; `""` if none has told so."""
    entries = [entry for entry in registry.processes() if entry["pid"] != os.getpid()]
    for entry in entries:
        if (entry.get("debug") or {}).get("port") == port:
            return f"process {entry['pid']}"
    # Opening takes 0.2 s, and several workers begin at once: one of these has it.
    asking = any(entry.get("debug_asks") == port for entry in entries)
    return "another process of this user" if asking else ""


def note(text: str) -> None:
    """Publish why this process has no debug port, or another one than asked for."""
    registry.publish(debug_note=text)


def withdraw() -> None:
    """Take back what this process has published about its port."""
    registry.withdraw("debug", "debug_asks", "debug_note")


def announced() -> list[Announcement]:
    """Return the living processes of this user with a debug port."""
    found = (_read(entry["pid"], entry.get("debug")) for entry in registry.processes())
    return [entry for entry in found if entry is not None]


def _read(pid: int, debug: object) -> Announcement | None:
    if not isinstance(debug, dict):
        return None
    try:
        return Announcement(
            pid,
            str(debug["host"]),
            int(debug["port"]),
            str(debug.get("program", "")),
            float(debug.get("started", 0)),
        )
    except (KeyError, TypeError, ValueError):
        return None
