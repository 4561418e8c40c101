"""Places in the code, and what every record that has one can do."""

import os
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .tasks import TaskRecord

RawPlace = tuple[CodeType, int]
"""A code object and the offset of an instruction in it (`f_lasti`, in bytes)."""

RawStack = tuple[RawPlace, ...]
"""Innermost frame first."""

FlatStack = tuple[Any, ...]
"""A `RawStack` without the inner tuples: code object, offset, code object, offset, ..."""

UNTIMED: Final = -1
"""Something has begun, and nobody needs to know when."""

_OWN: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def pairs(flat: FlatStack) -> RawStack:
    """Return the places of a flat stack, without those in this package."""
    found = zip(flat[::2], flat[1::2], strict=True)
    return tuple((code, at) for code, at in found if not code.co_filename.startswith(_OWN))


class Placed:
    """A record that knows where its thing began, by `flat_stack`."""

    __slots__ = ()

    flat_stack: FlatStack

    @property
    def stack(self) -> RawStack:
        """Where it began, innermost frame first; empty when that is not known."""
        return pairs(self.flat_stack)


class Owned(Placed):
    """A record of what a task began; `owner` is None outside any task."""

    __slots__ = ()

    owner: "TaskRecord | None"

    @property
    def owner_name(self) -> str:
        """The name of the task that began it."""
        return self.owner.name if self.owner is not None else ""

    @property
    def owner_serial(self) -> int:
        """The number of the task that began it, 0 when none did."""
        return self.owner.serial if self.owner is not None else 0
