"""Give way: the exporters' work comes in slices, so that no event loop waits for it.

A thread that wants the interpreter gets it after 5 ms from one that does not offer it.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from autoinstrument.native import sleep

T = TypeVar("T")
SLICE: Final = 64  # spans: about 0.2 ms


def give_way() -> None:
    """Offer the interpreter to others."""
    sleep(0)


def in_slices(items: Iterable[T], size: int = SLICE) -> Iterator[T]:
    """Yield the items, and offer the interpreter to others after each slice of `size`."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % size:
            sleep(0)
