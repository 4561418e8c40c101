"""One line on stderr, for code that runs before anything else is there."""

import os
import sys

QUIET = "ASYNCSCOPE_QUIET"


def say(message: str) -> None:
    """Write one line to stderr unless `ASYNCSCOPE_QUIET` is on or there is no stderr."""
    if os.environ.get(QUIET, "").strip().lower() in ("1", "true", "yes", "on"):
        return
    put("asyncscope: " + " ".join(message.splitlines()) + "\n")


def put(text: str) -> bool:
    """Write a text to stderr if it can take it; return whether it did.

    Where stderr is the process's own, nothing of ours goes through its buffer: what stays in there
    after a failure (a full disk, a pipe that nobody reads) turns the exit status into 120.
    """
    stream = sys.stderr
    try:
        if stream is not sys.__stderr__ or stream is None:
            stream.write(text)
            stream.flush()
            return True
        descriptor = stream.fileno()
        stream.flush()  # what the program has said comes first
        # One call, so that lines of several processes are not torn apart.
        left = text.encode(stream.encoding or "ascii", "backslashreplace")
        while left:
            left = left[os.write(descriptor, left) :]
    except Exception:  # closed, absent, full or replaced: nobody is there to read
        return False
    return True
