"""The exit status: whether the program fails by itself, and how to make it fail at its end.

Used only where `ASYNCSCOPE_FAIL_ON` is set.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from autoinstrument import env
from autoinstrument.findings import Finding
from autoinstrument.trackers.moments import Moments

_status: list[Any] = []


def note_exit_status(moments: Moments) -> None:
    """Remember with which status the program wants to end.

    Python 3.12 and newer tell when SystemExit leaves the program's outermost frame; before,
    `sys.exit` is replaced by a function that notes its argument.
    """
    if env.HAS_MONITORING:
        moments.on("exit_requested", _status.append)
        return
    original = sys.exit

    def note(status: Any = None, /) -> Any:
        _status.append(status)
        original(status)

    sys.exit = note


def failed_already() -> bool:
    """Whether the process ends with another status than 0 anyway."""
    if getattr(sys, "last_value", None) is not None or getattr(sys, "last_exc", None) is not None:
        return True
    return bool(_status and _status[-1] not in {None, 0})


def fail_because_of(findings: list[Finding], kinds: str, say: Callable[[str], None]) -> None:
    """Turn exit status 0 into 3 if there is a finding of these kinds, as `ASYNCSCOPE_FAIL_ON` asks.

    `kinds` are names with commas between them; `any` is all of them.
    """
    wanted = {name.strip() for name in kinds.split(",") if name.strip()}
    hit = [item.kind for item in findings if item.kind in wanted or "any" in wanted]
    if hit and not failed_already():
        say(f"exit status 3 because of {hit[0]} (ASYNCSCOPE_FAIL_ON)")
        fail_at_the_very_end(3)


def finish_on_sigterm(finish: Callable[[], None]) -> None:
    """Look once more before SIGTERM ends the process; only where the program leaves it alone.

    Asked for by the user: a signal with its default action ends a process at once, whatever it
    does; one with a Python function waits for compiled code to return.
    """

    def ending(number: int, frame: object) -> None:
        finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, ending)
    except ValueError:  # not in the main thread
        return


class _AtTheVeryEnd:
    """Ends the process when it dies: after the atexit functions and the last flush."""

    def __init__(self, status: int, leave: Callable[[int], Any]) -> None:
        self._status = status
        self._leave = leave

    def __del__(self) -> None:
        self._leave(self._status)


_last: list[_AtTheVeryEnd] = []


def fail_at_the_very_end(status: int) -> None:
    """Let the process end with a status, once everything else has been done."""
    _last.append(_AtTheVeryEnd(status, os._exit))
