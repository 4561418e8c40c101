"""Tell other processes of the same user which process has which debug port.

One small file for each process, in a directory that only its owner can enter. `asyncscope ps` and
`DebugpyServerManager` read them.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Announcement:
    """A process with an open debug port."""

    pid: int
    host: str
    port: int
    program: str
    started: float


def directory() -> Path:
    """Return where the files are; it may not exist yet."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(base) / f"asyncscope-{user}"


def _private(folder: Path) -> bool:
    """Say whether the directory is ours and closed to others (anybody may have made it)."""
    if not hasattr(os, "getuid"):
        return folder.is_dir()
    try:
        found = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def announce(announcement: Announcement) -> Path | None:
    """Write the file of a process, or return `None` if there is no safe place for it."""
    folder = directory()
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _private(folder):
            path = folder / f"debugpy-{announcement.pid}.json"
            new = path.with_suffix(".new")
            new.write_text(json.dumps(asdict(announcement)), encoding="utf-8")
            new.replace(path)
            return path
    return None


def withdraw(pid: int) -> None:
    """Remove the file of a process."""
    with suppress(OSError):
        (directory() / f"debugpy-{pid}.json").unlink()


def announced() -> list[Announcement]:
    """Return the living processes with a debug port; files of dead ones are removed."""
    found = []
    folder = directory()
    if not _private(folder):
        return []
    for path in sorted(folder.glob("debugpy-*.json")):
        entry = _read(path)
        if entry is not None and is_alive(entry.pid):
            found.append(entry)
        else:
            with suppress(OSError):
                path.unlink()
    return found


def _read(path: Path) -> Announcement | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Announcement(**raw)
    except (OSError, ValueError, TypeError):
        return None


def is_alive(pid: int) -> bool:
    """Say whether a process exists (a zombie does not count where that can be seen)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return status.rpartition(")")[2].split()[0] != "Z"
    return True
