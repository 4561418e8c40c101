"""The operating system's clocks of threads, bound before a program or its tests replace them."""

import os
import time
from time import thread_time_ns
from typing import Any, Final

from autoinstrument.records import LoopRecord

_cpu_clock: Final[Any] = getattr(time, "clock_gettime_ns", None)
_open, _read, _close = os.open, os.read, os.close


def computed_ns(record: LoopRecord) -> int:
    """Return how long a loop's thread has computed; 0 where that cannot be asked."""
    if not record.cpu_clock:
        return 0
    try:
        return int(_cpu_clock(record.cpu_clock))
    except OSError:  # the thread is gone
        return 0


def starved_ns(native_id: int) -> int:
    """Return how long a thread of this process was ready to run and got no processor.

    0 where that cannot be asked: only Linux tells (Documentation/scheduler/sched-stats.rst).
    """
    try:
        descriptor = _open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return 0
    try:
        return int(_read(descriptor, 100).split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    finally:
        _close(descriptor)


def waits_of_this_thread() -> int | None:
    """Return how often this thread has begun to wait; None where that cannot be asked.

    For the interpreter's lock it begins anew after each switch interval (`sys.setswitchinterval`).
    """
    try:
        from resource import RUSAGE_THREAD, getrusage  # Linux
    except ImportError:
        return None
    return getrusage(RUSAGE_THREAD).ru_nvcsw


def clock_is_fine() -> bool:
    """Whether the shortest step of a thread shows in its clock, as on Linux itself.

    Emulated kernels count in ticks of milliseconds, and what runs between them is not seen.
    """
    first = thread_time_ns()
    return any(thread_time_ns() != first for _ in range(100))
