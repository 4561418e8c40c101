"""The records of a registry, a bounded number at a time, without ever copying the registry.

Theory of operation. A registry of 100,000 records lies scattered in memory: one call that copies
it keeps the interpreter's lock for 5 ms (CPython 3.13, two shared cores, 2026-11), and the event
loop with it. A dict keeps its entries in the order in which they were made, so what is new stands
at its end. A roster takes only that over, going backwards, and drops what is over when its turn
comes. It refers to records, which refer to nothing of the program.

Records get their number before they enter the registry, and in programs with several loops not
always in that order. So the last few are looked at again.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

R = TypeVar("R")
_SERIAL: Final[Callable[[Any], int]] = attrgetter("serial")
_AGAIN: Final = 64
_SLICE: Final = 1_000
_give_way = time.sleep  # bound before a test suite mocks it


class Newcomers(Generic[R]):
    """Finds what was added to a registry since the last time; used in one thread at a time."""

    def __init__(
        self,
        live: dict[int, R],
        made: Callable[[], int],
        serial: Callable[[R], int] = _SERIAL,
    ) -> None:
        """Begin with nothing.

        Args:
            live: the registry, to whose end new records are added by any thread.
            made: returns how many records were numbered so far.
            serial: returns the number of a record, by the order of creation.
        """
        self._serial = serial
        self._live = live
        self._made = made
        self._known = 0
        self._last: set[int] = set()
        self._is_settled = True

    def take(self) -> list[R]:
        """Return what was added since the last time, the latest first."""
        made = self._made()
        if made == self._known and self._is_settled:
            return []
        try:
            latest = list(islice(reversed(self._live.values()), made - self._known + 2 * _AGAIN))
        except RuntimeError:  # changed meanwhile, where threads really run at the same time
            return []
        known, last, serial = self._known - _AGAIN, self._last, self._serial
        self._is_settled = made == self._known
        self._known = made
        self._last = {serial(record) for record in latest if serial(record) > made - _AGAIN}
        return [
            record for record in latest if serial(record) > known and serial(record) not in last
        ]


class Roster(Generic[R]):
    """Goes through a registry in turns; used in one thread at a time."""

    def __init__(
        self,
        live: dict[int, R],
        made: Callable[[], int],
        is_over: Callable[[R], bool],
        serial: Callable[[R], int] = _SERIAL,
    ) -> None:
        """Start empty.

        Args:
            live: the registry, to whose end new records are added by any thread.
            made: returns how many records were numbered so far.
            is_over: whether a record can be dropped.
            serial: returns the number of a record, by the order of creation.
        """
        self.rounds = 0
        self._live = live
        self._new = Newcomers(live, made, serial)
        self._is_over = is_over
        self._due: list[R] = []
        self._done: list[R] = []

    def __len__(self) -> int:
        """Return how many records it has; some may be over."""
        return len(self._due) + len(self._done)

    def turn(self, most: int) -> list[R]:
        """Return the next records of this round, or the first ones of a new round.

        What is new comes in addition to `most`, so that a round comes to its end however much is
        made; of very much only a part.
        """
        new = self._new.take()
        if not self._due:
            self._due, self._done = self._done, self._due
            self.rounds += 1
        found, self._due[-most:] = self._due[-most:] + new[: 4 * most], new[4 * most :]
        found = [record for record in found if not self._is_over(record)]
        self._done += found
        if len(self) > 2 * len(self._live) + 4 * _SLICE:
            self._drop_what_is_over()
        return found

    def _drop_what_is_over(self) -> None:
        for part in (self._due, self._done):
            kept: list[R] = []
            for start in range(0, len(part), _SLICE):
                records = part[start : start + _SLICE]
                kept += [record for record in records if not self._is_over(record)]
                _give_way(0)
            part[:] = kept

    def slices(self, size: int) -> Iterator[list[R]]:
        """Yield all records, `size` at a time; no turn may be taken meanwhile."""
        self._due += self._new.take()
        for part in (self._done, self._due):
            for start in range(0, len(part), size):
                yield part[start : start + size]
