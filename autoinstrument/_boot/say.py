"""One line on stderr, for code that runs before anything else is there."""

import os
import sys

QUIET = "ASYNCSCOPE_QUIET"


def say(message: str) -> None:
    """Write one line to stderr unless `ASYNCSCOPE_QUIET` is on or there is no stderr."""
    if os.environ.get(QUIET, "").strip().lower() in ("1", "true", "yes", "on"):
        return
    try:
        # One call, so that lines of several processes are not torn apart.
        sys.stderr.write("asyncscope: " + " ".join(message.splitlines()) + "\n")
        sys.stderr.flush()
    except Exception:  # noqa: S110 - closed, absent or replaced: nobody is there to read
        pass
