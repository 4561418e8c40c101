"""Ports: the objects whose methods woven library code calls.

A port's method never raises: what goes wrong in it switches that method off for good. Where a
second call is too dear, woven code calls the tracker's method itself (`told`) and catches what it
raises.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

_NO_OBSERVATIONS: Final = frozenset({"close", "failed", "inline", "part", "tells"})


def told(observation: str, *arguments: str) -> str:
    """Return code that tells a tracker something, see `Port.tells`."""
    return f"""
try:
    port.{observation}({", ".join(arguments)})
except Exception as asyncscope_error:
    port.failed({observation!r}, asyncscope_error)
"""


class Port:
    """Base of all ports; subclasses name their observations in `observations`."""

    part: ClassVar[str] = "hooks"

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        """Keep who is told about a failure of ours."""
        self._say_failed = failed
        self._direct: list[str] = []  # observations that are methods of trackers
        self.inline: dict[str, object] = {}  # what `port_...` names in edits stand for

    def close(self) -> None:
        """Observe nothing any more; for functions that stay in another tool's chain."""
        for name in dir(type(self)):
            if not name.startswith("_") and name not in _NO_OBSERVATIONS:
                setattr(self, name, _nothing)
        for name in self._direct:
            setattr(self, name, _nothing)

    def tells(self, observation: str, method: Callable[..., Any]) -> None:
        """Let woven code call a tracker's method directly; it catches what the method raises."""
        setattr(self, observation, method)
        self._direct.append(observation)

    def failed(self, observation: str, exc: BaseException) -> None:
        """Switch an observation off after an error of ours, with one warning."""
        setattr(self, observation, _nothing)
        self._say_failed(f"{self.part}.{observation}", exc)


def _nothing(*facts: Any) -> Any:
    """Stand in for an observation that is off; `result` observations return their value."""
    return facts[0] if facts else None
