"""Facts about the interpreter that other modules ask for by name.

Each flag says what it is about and since when; `asyncscope doctor` prints them.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Any, Final

HAS_MONITORING: Final = sys.version_info >= (3, 12)
"""`sys.monitoring` exists (PEP 669, Python 3.12)."""

WAIT_FOR_MAKES_A_TASK: Final = sys.version_info < (3, 12)
"""`asyncio.wait_for` runs a coroutine in a task of its own (until Python 3.11)."""

ASKS_FOR_PROCESS: Final = sys.version_info < (3, 12)
"""`asyncio._get_running_loop()` asks the system for the number of the process (until 3.11)."""

LOCAL_UNWIND: Final = sys.version_info >= (3, 15)
"""PY_UNWIND and PY_THROW can be asked for one code object only (since Python 3.15)."""

AWAIT_IS_SAFE: Final = sys.version_info >= (3, 13)
"""`cr_await` of a coroutine that runs is None; before 3.13 it may be no object at all."""

IMPLEMENTATION: Final = sys.implementation.name
"""asyncscope is written for CPython; elsewhere it stays off."""


def facts() -> dict[str, bool | str]:
    """Return all flags by name, for `asyncscope doctor`."""
    return {
        "python": sys.version.split()[0],
        "implementation": IMPLEMENTATION,
        "has_monitoring": HAS_MONITORING,
        "wait_for_makes_a_task": WAIT_FOR_MAKES_A_TASK,
        "asks_for_process": ASKS_FOR_PROCESS,
        "local_unwind": LOCAL_UNWIND,
        "await_is_safe": AWAIT_IS_SAFE,
    }


@cache  # to look for a module that is not there takes half a millisecond
def _interpreters() -> Any:
    """Return the module that knows the interpreters of this process, or None."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def in_main_interpreter() -> bool:
    """Whether this is the process's main interpreter (PEP 734).

    A subinterpreter cannot end while a thread of ours runs in it, so nothing is watched there.
    """
    module = _interpreters()
    if module is None:
        return True
    current, main = module.get_current(), module.get_main()
    first = current[0] if isinstance(current, tuple) else current
    return bool(first == (main[0] if isinstance(main, tuple) else main))


def is_only_interpreter() -> bool:
    """Whether there is no subinterpreter now.

    `sys._current_frames()` goes through the threads of all interpreters without holding the
    locks of the others, and the process aborts when one of them is just starting.
    """
    module = _interpreters()
    return module is None or len(module.list_all()) == 1
