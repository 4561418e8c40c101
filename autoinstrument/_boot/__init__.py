"""Start-up with `sys` and `os` only: decide whether to watch, and wait for `asyncio`.

Theory of operation. `asyncscope_hook.pth`, at the root of site-packages, calls `start()` in
every Python process whose environment holds `ASYNCSCOPE_ENABLE`. At that moment nothing of the
program is imported, and most processes never need an event loop. So nothing is loaded here but
this folder: `start()` leaves one entry in `sys.meta_path`, and the agent is imported right after
the program has imported `asyncio` itself.

`start` takes no arguments and never raises, so that it can be named in a `.start` file
(PEP 829) as `autoinstrument._boot:start`.
"""

import os
import sys

from autoinstrument._boot.import_hook import when_imported
from autoinstrument._boot.process import is_infrastructure
from autoinstrument._boot.say import say

TYPE_CHECKING = False  # `typing` would be the dearest import of this package
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ENABLE", "first_process", "is_on", "start"]

ENABLE = "ASYNCSCOPE_ENABLE"
ON = ("1", "true", "yes", "on")
OFF = ("", "0", "false", "no", "off")

_started_in: int | None = None
"""The process in which `start()` ran: a line of a `.pth` file runs twice in a venv."""


def start() -> None:
    """Arrange that the agent starts when the program imports `asyncio`.

    Does nothing if it was called before in this process, if `ASYNCSCOPE_ENABLE` does not say
    yes, or if the process is a tool such as pip. Never raises: a start-up line that fails would
    print a traceback at each start of each program.
    """
    global _started_in  # noqa: PLW0603 - one fact of the process
    try:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
        if not is_infrastructure(sys.orig_argv) and is_on():
            for library in ("asyncio", "trio"):
                when_imported(library, _asyncio_imported)
    except Exception as exc:  # the program starts whatever happens here
        say(f"could not start ({type(exc).__name__}: {exc}); the program runs unwatched")


def first_process() -> int:
    """Return the process in which the program started, also in one that was forked from it."""
    return _started_in or os.getpid()


def is_on() -> bool:
    """Tell whether the environment asks for the agent; say so if the value makes no sense."""
    value = os.environ.get(ENABLE, "")
    word = value.strip().lower()
    if word in ON:
        return True
    if word not in OFF:
        accepted = "/".join(ON), "/".join(filter(None, OFF))
        say(f"{ENABLE}={value!r} is not one of {accepted[0]} or {accepted[1]}; staying off")
    return False


def _asyncio_imported(module: "ModuleType") -> None:
    from autoinstrument import agent  # its imports need asyncio

    agent.asyncio_imported(module)
