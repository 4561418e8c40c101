"""Files of ours: for their owner only, and never in place of what is no plain file."""

import contextlib
import os
import stat
from importlib import import_module
from typing import Final

# of the compiled module: a program may have replaced `os.getpid` before this is imported
getpid: Final = import_module(os.name).getpid
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


def replace(path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all; a device or a pipe is written to.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    if is_special(path):
        write_all(os.open(path, os.O_WRONLY | os.O_APPEND), content)
        return
    path = os.path.realpath(path)
    temporary = f"{path}.{getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of an earlier process with this number
    try:
        # O_EXCL: somebody else's file or link of this name is not written to
        write_all(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600), content
        )
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def append(path: str, content: bytes, *, after_torn: bool = False) -> int:
    """Append to a file, made for its owner only, and return the size that it had before.

    The file is opened each time: a descriptor that stays open may be closed by the program and
    become something else. `after_torn` ends what an earlier call left half-written.

    Raises:
        OSError: it could not be written, or only in part.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    size = os.fstat(descriptor).st_size
    write_all(descriptor, b"\n" + content if after_torn else content)
    return size


def is_special(path: str) -> bool:
    """Whether a path names a device, a pipe or a socket, which must not be replaced."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything and close the descriptor.

    Raises:
        OSError: not everything could be written.
    """
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
