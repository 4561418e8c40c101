"""Keep woven code between processes, as Python keeps compiled modules.

Reading, compiling, comparing and recompiling a function takes about a millisecond, and there are
dozens. What came out is kept in a file: for each function the edits, the code that it had, and the
woven code before a port is bound to it. An entry is used only when the edits and the function's
present code are *equal* to what was kept, so a changed library, interpreter or hook is a miss.

Code that is loaded is run, so whoever can write the file can run code in the program. It lies in
the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`, then `asyncscope`), and folder and file
are used only if they belong to this user or to root and nobody else may write to them. The folder
`__pycache__` beside this module would serve more users, but uninstalling would leave it behind.
Nothing is written when Python was told to write no bytecode (`PYTHONDONTWRITEBYTECODE`, `-B`), and
nothing is kept where files have no owner and mode (Windows).
"""

import _imp
import contextlib
import marshal
import os
import stat
import sys
from types import CodeType
from typing import Final, TypeAlias

Edits: TypeAlias = tuple[tuple[str, ...], ...]
_Entry: TypeAlias = tuple[Edits, CodeType, CodeType]

_MOST_BYTES: Final = 4_000_000
_MOST_ENTRIES: Final = 500
_FORMAT: Final = f"asyncscope woven 2\n{sys.version}\n".encode()
_OWNED: Final = os.name == "posix"  # elsewhere files have no such owner and mode


class WovenCache:
    """What this process and those before it have woven."""

    def __init__(self) -> None:
        """Start without entries; the file is read when the first one is asked for."""
        self._entries: dict[tuple[str, str], _Entry] | None = None
        self._changed = False

    def get(self, code: CodeType, edits: Edits) -> CodeType | None:
        """Return the woven code of a function that has this code, or None."""
        entry = self._known().get((code.co_filename, code.co_qualname))
        if entry is None or entry[0] != edits or entry[1] != code:
            return None
        return entry[2]

    def put(self, code: CodeType, edits: Edits, woven: CodeType) -> None:
        """Keep what was woven; `save` writes it."""
        known = self._known()
        if len(known) < _MOST_ENTRIES:
            known[code.co_filename, code.co_qualname] = (edits, code, woven)
            self._changed = True

    def save(self) -> None:
        """Write the file if there is something new; called outside the program's hot path.

        A folder that cannot be written is no error: the next process weaves again.
        """
        if not self._changed or sys.dont_write_bytecode:
            return
        self._changed = False
        with contextlib.suppress(
            OSError, ValueError
        ):  # or another tool's constant in a code object
            body = marshal.dumps(dict(self._known()))
            _write(_head() + _hash(body) + body)

    def _known(self) -> dict[tuple[str, str], _Entry]:
        if self._entries is None:
            self._entries = {}
            with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
                self._entries = _read()
        return self._entries


def _hash(data: bytes) -> bytes:
    # what `importlib.util` calls; to import that takes longer than to read the cache
    return _imp.source_hash(0, data)


def _folder() -> str:
    """Return the folder of this installation; two of them must not replace each other's entries.

    Raises:
        FileNotFoundError: there is no place for it.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not _OWNED or not os.path.isabs(caches):
        raise FileNotFoundError(caches)
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(caches, "asyncscope", _hash(here.encode()).hex())


def _name() -> str:
    return f"woven.{sys.implementation.cache_tag}.opt-{sys.flags.optimize}.bin"


def _head() -> bytes:
    """Return what the file has to begin with: its format, the interpreter, and who wove."""
    weaver = os.stat(os.path.join(os.path.dirname(__file__), "weaving.py"))
    return _FORMAT + b"%d %d\n" % (weaver.st_mtime_ns, weaver.st_size)


def _only_ours(found: os.stat_result) -> bool:
    """Whether a file or folder belongs to us or root, and nobody else may write to it."""
    return found.st_uid in {0, os.geteuid()} and not found.st_mode & 0o022


def _read() -> dict[tuple[str, str], _Entry]:
    """Return the entries of the file.

    Raises:
        OSError: it is not there, or others may write to it.
        ValueError: it is of another version, or damaged.
    """
    folder = _folder()
    if not _only_ours(os.stat(folder)):
        raise PermissionError(folder)
    flags = os.O_RDONLY | os.O_NOFOLLOW
    with open(os.open(os.path.join(folder, _name()), flags), "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or not _only_ours(found):
            raise PermissionError(folder)
        data = stream.read(_MOST_BYTES)
    head = _head()
    if not data.startswith(head):
        raise ValueError("another version")
    check, body = data[len(head) : len(head) + 8], data[len(head) + 8 :]
    if _hash(body) != check:
        raise ValueError("damaged")
    entries: dict[tuple[str, str], _Entry] = marshal.loads(body)
    return entries


def _write(data: bytes) -> None:
    """Replace the file in one step.

    Raises:
        OSError: the folder cannot be made or written, or others may write to it.
    """
    folder = _folder()
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if not _only_ours(os.stat(folder)):
        raise PermissionError(folder)
    target = os.path.join(folder, _name())
    draft = f"{target}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(os.open(draft, flags, 0o600), "wb") as stream:
            stream.write(data)
        os.replace(draft, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
