"""Threads as the operating system sees them: never those that a library puts in their place.

gevent's monkey patches make greenlets of threads, locks and `sleep`. A greenlet of ours could not
look at a blocked loop, and would keep `gevent.wait()` from ever ending; so what was there before
is taken, whichever comes first. All is bound here before a test suite mocks it, or a detector of
blocking calls takes us for the program.
"""

import _thread
import contextlib
import os
import sys
import time
from typing import Any, Final

_WITHIN_S: Final = 0.5


def _original(module: Any, name: str) -> Any:
    """Return a module's own attribute, also where gevent has replaced it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(module, name)
    try:
        return monkey.get_original(module.__name__, name)
    except Exception:  # another version, or half imported
        return getattr(module, name)


start_new_thread: Final = _original(_thread, "start_new_thread")
allocate_lock: Final = _original(_thread, "allocate_lock")
get_ident: Final = _original(_thread, "get_ident")
acquire: Final = _original(_thread, "LockType").acquire
sleep: Final = _original(time, "sleep")
_stat, _monotonic = os.stat, time.monotonic


class Flag:
    """What `threading.Event` is, for one waiting thread, of a lock that nobody has replaced."""

    def __init__(self) -> None:
        """Begin down."""
        self._up = False
        self._changed = allocate_lock()  # free after a change that the waiting thread has not seen
        acquire(self._changed, False)

    def is_set(self) -> bool:
        """Whether it is up."""
        return self._up

    def set(self) -> None:
        """Put it up and wake who waits."""
        self._up = True
        with contextlib.suppress(RuntimeError):  # free already: not seen since the last time
            self._changed.release()

    def clear(self) -> None:
        """Take it down."""
        self._up = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is up, for so long at most; return whether it is."""
        until = None if timeout_s is None else _monotonic() + timeout_s
        while not self._up:
            left = -1 if until is None else until - _monotonic()
            if (until is not None and left <= 0) or not acquire(self._changed, True, left):
                break
        return self._up


def wait_until_gone(native_id: int) -> None:
    """Wait until a thread that ends is gone: `os.fork` counts threads, and warns from 3.12 on."""
    if not sys.platform.startswith("linux") or not native_id:
        return
    until = _monotonic() + _WITHIN_S
    while _monotonic() < until:
        try:
            _stat(f"/proc/self/task/{native_id}")
        except OSError:
            return
        sleep(0.0005)
