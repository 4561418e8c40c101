"""Give way: the exporters' work comes in slices, so that no event loop waits for it.

A thread that wants the interpreter gets it after 5 ms from one that does not offer it. An offer
beside a busy loop costs as much, since the loop then keeps the interpreter for 5 ms: too many
of them, and a drain takes seconds, in which this thread watches nothing. So it is offered every
3 ms, and whoever drains may be called back then.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Final, TypeVar

from autoinstrument.native import sleep

T = TypeVar("T")
SLICE: Final = 64  # spans: half a millisecond; then it is asked how late it is
_OFFER_S: Final = 0.003


class _Slices:
    """When the interpreter was offered last, and what else is to be done then."""

    offered_s = 0.0
    meanwhile: Callable[[], None] | None = None


_slices: Final = _Slices()


@contextmanager
def giving_way(meanwhile: Callable[[], None]) -> Iterator[None]:
    """Call `meanwhile` whenever the interpreter has been offered to others."""
    _slices.meanwhile = meanwhile
    try:
        yield
    finally:
        _slices.meanwhile = None


def give_way() -> None:
    """Offer the interpreter to others, unless that was done a moment ago."""
    if monotonic() - _slices.offered_s < _OFFER_S:
        return
    sleep(0)
    if _slices.meanwhile is not None:
        _slices.meanwhile()
    _slices.offered_s = monotonic()


def slices(items: Sequence[T], size: int = SLICE) -> Iterator[Sequence[T]]:
    """Yield the items, `size` of them at a time, and give way after each of these slices."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        give_way()


def in_slices(items: Iterable[T], size: int = SLICE) -> Iterator[T]:
    """Yield the items, and give way after each slice of `size`."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % size:
            give_way()
