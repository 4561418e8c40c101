"""Which processes of this user are watched: one small file each, for `asyncscope ps` and `debug`.

The folder is entered by its owner alone: `$XDG_RUNTIME_DIR/asyncscope`, or `asyncscope-<uid>` in
the folder for temporary files. A folder of that name that belongs to somebody else, or that others
can enter, is not used. Written when the first event loop starts, never by an import; replaced in
one step; removed at exit. What a killed process leaves behind is recognised by its number and the
addresses that the kernel gave it at its start, and removed by whoever reads the folder next.
"""

import os
import stat
import sys
from collections.abc import Iterator
from typing import Any, Final

VERSION: Final = 1
_NAME: Final = "asyncscope"
_getpid, _open, _replace, _unlink = os.getpid, os.open, os.replace, os.unlink
_own: dict[str, Any] = {}
"""What this process has published; of another process after a fork."""


def folders() -> list[str]:
    """Return where files may be, the place for our own first; a reader looks into all.

    None for a set-user-id process: what it made would belong to neither of its users.
    """
    found: list[str] = []
    if hasattr(os, "geteuid") and os.geteuid() != os.getuid():
        return found
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isdir(runtime):
        found.append(os.path.join(runtime, _NAME))
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    if os.path.isdir(f"/run/user/{user}"):
        found.append(f"/run/user/{user}/{_NAME}")
    bases = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    found += [
        os.path.join(base, f"{_NAME}-{user}")
        for base in (*bases, "/tmp")
        if base and os.path.isdir(base)
    ]
    return list(dict.fromkeys(found))


def why_not(folder: str) -> str:
    """Return why a folder is not safe to use, `""` if it is; raises nothing."""
    try:
        found = os.lstat(folder)
    except OSError as exc:
        return exc.strerror or str(exc)
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if hasattr(os, "geteuid"):
        if found.st_uid != os.geteuid():
            return "belongs to another user"
        if found.st_mode & 0o077:
            return "can be entered by others"
    return ""


def own_folder() -> str:
    """Return the folder for this process's file, made if need be; `""` if there is none.

    The reason can be had by `problem`.
    """
    for folder in folders():
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        if not why_not(folder):
            return folder
    return ""


def problem() -> str:
    """Return why this process could not publish anything, `""` if it can."""
    if own_folder():
        return ""
    reasons = [f"{folder} {why_not(folder)}" for folder in folders()]
    return "; ".join(reasons) or "there is no folder for temporary files"


def publish(**facts: Any) -> bool:
    """Add facts to this process's file, replacing those of the same name; say whether it worked.

    Costs about 0.12 ms. Nothing is raised: who cannot be listed is not listed.
    """
    from autoinstrument.arguments import redacted  # as with json

    pid = _getpid()
    if _own.get("pid") != pid:
        _own.clear()
        _own.update(
            version=VERSION,
            pid=pid,
            identity=identity(pid),
            python=sys.version.split()[0],
            command=redacted(_command()),
        )
    _own.update(facts)
    folder = own_folder()
    try:
        return bool(folder) and write(os.path.join(folder, f"{pid}.json"), _own)
    except (OSError, ValueError, TypeError):
        return False


def _command() -> list[str]:
    """Return the command line, of a multiprocessing child that of the program it belongs to."""
    words = list(getattr(sys, "orig_argv", None) or sys.argv)
    if any("spawn_main" in word or "multiprocessing.forkserver" in word for word in words):
        return [words[0], *sys.argv, "(multiprocessing)"]
    return words


def write(path: str, content: dict[str, Any]) -> bool:
    """Write a file for its owner alone, in one step.

    Raises:
        OSError: it cannot be written.
    """
    import json  # here, not above: most programs end before they are listed

    new = f"{path}.new"
    _remove(new)  # left behind by a process of that number that was killed here
    descriptor = _open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, json.dumps(content).encode())
    finally:
        os.close(descriptor)
    _replace(new, path)
    return True


def request_path(folder: str, pid: int) -> str:
    """Return where a request to a process is put (see `on_demand.py`)."""
    return os.path.join(folder, f"{pid}.request")


def withdraw(*names: str) -> None:
    """Take facts back, all of them without a name; an empty file goes away."""
    if _own.get("pid") != _getpid():
        return
    for name in names:
        _own.pop(name, None)
    if names and ("watched" in _own or "debug" in _own):
        publish()
        return
    pid = _own["pid"]
    _own.clear()
    for folder in folders():
        if not why_not(folder):
            _remove(os.path.join(folder, f"{pid}.json"))


def processes() -> list[dict[str, Any]]:
    """Return what the living processes of this user have published, oldest process first.

    `folder` is added to each. Files of processes that have ended are removed.
    """
    found: dict[int, dict[str, Any]] = {}
    for folder in folders():
        for path in _files(folder):
            entry = read(path)
            if entry is None or not is_same(entry):
                _remove(path)
            else:
                found.setdefault(int(entry["pid"]), entry | {"folder": folder})
    return sorted(found.values(), key=lambda entry: (entry.get("started", 0), entry["pid"]))


def _files(folder: str) -> Iterator[str]:
    """Yield the entries in a folder, and remove requests and half-written files of the dead."""
    if why_not(folder):
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        number, _, kind = name.partition(".")
        if not number.isdigit():
            continue
        if kind == "json":
            yield os.path.join(folder, name)
        elif not is_alive(int(number)):
            _remove(os.path.join(folder, name))


def read(path: str) -> dict[str, Any] | None:
    """Return the content of a file of ours, `None` if it is none."""
    import json

    try:
        descriptor = _open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            if not _is_own_file(descriptor):
                return None
            content = json.loads(stream.read(1_000_000))
    except (OSError, ValueError):
        return None
    named = isinstance(content, dict) and isinstance(content.get("pid"), int)
    return content if named else None


def _is_own_file(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and (
        not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    )


def is_same(entry: dict[str, Any]) -> bool:
    """Say whether the process that published an entry still lives, and runs the same program."""
    pid = entry["pid"]
    if not is_alive(pid):
        return False
    now, then = identity(pid).split(":"), str(entry.get("identity", "")).split(":")
    # A process that has forbidden to be looked into shows no addresses (0 or 1).
    return all(a == b or {a, b} & {"", "0", "1"} for a, b in zip(now, then, strict=False))


def is_alive(pid: int) -> bool:
    """Say whether a process exists (a zombie does not count where that can be seen)."""
    if sys.platform == "win32":
        return True  # there is no asking: signal 0 is Ctrl-C there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    fields = _stat_fields(pid)
    return not fields or fields[0] != "Z"


def identity(pid: int) -> str:
    """Return what tells a process from a later one of its number, `""` where nothing does.

    Start time, and the addresses of its code and stack, which a new program in the same process
    (`os.exec*`) gets anew (`/proc/<pid>/stat`, fields 22, 26 and 28).
    """
    fields = _stat_fields(pid)
    return ":".join((fields[19], fields[23], fields[25])) if len(fields) > 25 else ""


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` from the third on."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []


def _remove(path: str) -> None:
    try:
        _unlink(path)
    except OSError:
        return
