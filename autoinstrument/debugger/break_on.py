"""Stop in the user's frame when a finding is made there.

Nothing of debugpy is imported here: without an attached client every call returns at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from . import _debugpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

_OWN_PACKAGE: Final = __name__.split(".", maxsplit=1)[0]
MAX_PLACES: Final = 10_000


def user_frame(frame: FrameType | None) -> FrameType | None:
    """Return the first frame, from this one outwards, that is not ours."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not isinstance(module, str) or module.partition(".")[0] != _OWN_PACKAGE:
            return frame
        frame = frame.f_back
    return None


def stop_in_user_frame(frame: FrameType | None) -> bool:
    """Let an attached debugger stop in the user's frame, on the line that runs next there.

    To be called in the thread that executes `frame`, from a hook below it; `frame` may be ours,
    then the first one outside this package is meant. Execution stops when the hook has returned:
    the stack shows the program and none of us. Says whether a stop was asked for; without an
    attached client nothing happens.
    """
    if not _debugpy.is_client_connected():
        return False
    wanted = user_frame(frame)
    if wanted is None:
        return False
    _debugpy.stop_at(wanted)
    return True


class BreakOn:
    """Decides at which findings to stop: the kinds asked for, and not twice in a row at a place.

    Without the limit nobody could get out of a loop that makes the same finding at each turn.
    """

    def __init__(
        self,
        kinds: Iterable[str],
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stop at these kinds (`any` for all), at most once in `interval_s` for kind and place."""
        self.kinds = frozenset(kind.strip() for kind in kinds if kind.strip())
        self.interval_s = interval_s
        self.stops = 0
        self.suppressed = 0
        self._clock = clock
        self._latest: dict[tuple[str, str, int], float] = {}

    @classmethod
    def from_text(cls, text: str, config_path: str = "") -> BreakOn:
        """Return the rule of an `ASYNCSCOPE_BREAK_ON` value, kinds separated by commas.

        How often to stop is taken from the `breakpoints` section of the file, if there is one.

        Raises:
            ConfigError: the file is not usable.
        """
        if not config_path:
            return cls(text.split(","))
        from .config import load_debug_config  # only with a file

        settings = load_debug_config(config_path).breakpoints
        return cls(text.split(","), settings.break_on_interval_s)

    def found(self, kind: str, frame: FrameType | None) -> bool:
        """Stop for a finding made below `frame`, if it is one to stop at; say whether it was."""
        if not self.kinds or not (kind in self.kinds or "any" in self.kinds):
            return False
        wanted = user_frame(frame)
        if wanted is None or not _debugpy.is_client_connected():
            return False
        if not self._is_due(kind, wanted):
            self.suppressed += 1
            return False
        self.stops += stop_in_user_frame(wanted)
        return True

    def _is_due(self, kind: str, frame: FrameType) -> bool:
        place = (kind, frame.f_code.co_filename, frame.f_lineno)
        now = self._clock()
        latest = self._latest.get(place)
        if latest is not None and now - latest < self.interval_s:
            return False
        if len(self._latest) >= MAX_PLACES:
            self._latest.clear()
        self._latest[place] = now
        return True
