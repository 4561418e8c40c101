"""Ports: the objects whose methods woven library code calls.

A port's method never raises: what goes wrong in it switches that method off for good.
"""

from collections.abc import Callable
from typing import Any, ClassVar


class Port:
    """Base of all ports; subclasses name their observations in `observations`."""

    part: ClassVar[str] = "hooks"

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        """Keep who is told about a failure of ours."""
        self._say_failed = failed
        self.inline: dict[str, object] = {}  # what `port_...` names in edits stand for

    def close(self) -> None:
        """Observe nothing any more; for functions that stay in another tool's chain."""
        for name in dir(type(self)):
            if not name.startswith("_") and name not in {"close", "failed", "inline", "part"}:
                setattr(self, name, _nothing)

    def failed(self, observation: str, exc: BaseException) -> None:
        """Switch an observation off after an error of ours, with one warning."""
        setattr(self, observation, _nothing)
        self._say_failed(f"{self.part}.{observation}", exc)


def _nothing(*facts: Any) -> Any:
    """Stand in for an observation that is off; `result` observations return their value."""
    return facts[0] if facts else None
