"""Numbers of traces and spans, and times of the wall clock.

A span's number is computed from the serial of its record, so that nothing has to be kept to
name the parent of a span: two threads that ask for the same record get the same answer.
"""

import os
import time
from collections.abc import Iterable
from typing import Final

TASK: Final = 0
SCOPE: Final = 1
WAIT: Final = 2
GENERATOR: Final = 3
OTHER: Final = 4
SESSION: Final = 5

_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: neighbours lie far apart


class SpanIds:
    """One-to-one from (kind, serial) to 64 bits, different in every process."""

    __slots__ = ("_others", "_seed")

    def __init__(self, seed: int | None = None) -> None:
        """Start with a random seed; a fixed one is for tests."""
        self._seed = int.from_bytes(os.urandom(8), "big") if seed is None else seed
        self._others = 0

    def of(self, kind: int, serial: int) -> int:
        """Return the number of a record's span; never 0."""
        # An odd factor makes a bijection of 64 bits; the seed keeps processes apart.
        return ((serial << 3 | kind) * _ODD + self._seed) & _MASK or 1

    def of_all(self, kind: int, serials: Iterable[int]) -> list[int]:
        """Return the numbers of the spans of many records."""
        seed = self._seed
        return [((serial << 3 | kind) * _ODD + seed) & _MASK or 1 for serial in serials]

    def another(self) -> int:
        """Return a number for something that has no serial of its own."""
        self._others += 1
        return self.of(OTHER, self._others)


class WallClock:
    """Turns `monotonic_ns` into nanoseconds since the epoch with one anchor.

    One anchor keeps all spans of a process on one time line, even when the system's clock is
    set meanwhile.
    """

    __slots__ = ("offset_ns",)

    def __init__(self, offset_ns: int | None = None) -> None:
        """Take the anchor now, or use a given offset (tests)."""
        self.offset_ns = time.time_ns() - time.monotonic_ns() if offset_ns is None else offset_ns

    def at(self, monotonic_ns: int) -> int:
        """Return nanoseconds since the epoch."""
        return monotonic_ns + self.offset_ns
