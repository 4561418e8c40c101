"""Threads as the operating system sees them: one lives a little longer than its Python code."""

import os
import sys
import time
from typing import Final

# bound before a test suite mocks them, or a detector of blocking calls takes us for the program
_stat, _sleep, _monotonic = os.stat, time.sleep, time.monotonic
_WITHIN_S: Final = 0.5


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
        _sleep(0.0005)
