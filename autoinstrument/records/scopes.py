"""Cancel scopes, timeouts and task groups."""

import weakref
from typing import TYPE_CHECKING, Any, Final

from .places import FlatStack, Owned, RawStack, pairs

if TYPE_CHECKING:
    from .tasks import CancelOrigin, TaskRecord

_MOST_VICTIMS: Final = 8  # places kept of a scope that cancels tasks

OpenScope = list[Any]
"""A scope that is open, as it is written down at its entry: key, kind, number, time, flat stack,
whether it is a shield, and its record, which is None until somebody asks (`scope_record`)."""

LeftScope = tuple[OpenScope, "TaskRecord", int]
"""A scope that its own task left in order, the task, and when; see `left_record`."""


class ScopeRecord(Owned):
    """One cancel scope, timeout or task group, from its entry on.

    It is made when there is something to tell of the scope or somebody asks. `key` is the
    identity of the scope object, which the record does not refer to: a scope is found through
    the task that entered it.
    """

    __slots__ = (
        "cancel_origin",
        "deliveries",
        "entered_ns",
        "expired_ns",
        "flat_stack",
        "flat_victims",
        "hits",
        "irregularly_by",
        "key",
        "kind",
        "left_ns",
        "left_stack",
        "owner",
        "scope",
        "serial",
        "shield",
    )

    serial: int
    key: int
    kind: str  # the name that a user knows, such as `asyncio.timeout`
    owner: "TaskRecord | None"
    entered_ns: int  # UNTIMED when nobody exports it
    flat_stack: FlatStack
    left_ns: int  # 0 while it is open
    shield: bool
    expired_ns: int  # when its deadline fired, 0 if it did not
    cancel_origin: "CancelOrigin | None"  # who cancelled it
    scope: weakref.ref[Any] | None  # once it is cancelled, if it may have many tasks
    hits: "list[tuple[TaskRecord, CancelOrigin]] | None"  # tasks it cancelled since the last tick
    flat_victims: list[FlatStack] | None  # where its cancellation was delivered before
    deliveries: int  # attempts to deliver it, of those that were counted
    irregularly_by: int | None  # number of the task that left it irregularly, 0 when none did
    left_stack: RawStack  # where it was left irregularly

    def __init__(
        self,
        owner: "TaskRecord | None",
        key: int,
        kind: str,
        serial: int,
        entered_ns: int,
        flat_stack: FlatStack,
        shield: bool,
    ) -> None:
        """Keep what is known from the entry, in the order of `OpenScope`."""
        self.owner = owner
        self.key = key
        self.kind = kind
        self.serial = serial
        self.entered_ns = entered_ns
        self.flat_stack = flat_stack
        self.shield = shield
        self.left_ns = self.expired_ns = self.deliveries = 0
        self.cancel_origin = self.scope = self.irregularly_by = None
        self.hits = self.flat_victims = None
        self.left_stack = ()

    @property
    def left_by(self) -> int:
        """The number of the task that left it, 0 while it is open."""
        if self.irregularly_by is not None:
            return self.irregularly_by
        return self.owner_serial if self.left_ns else 0

    @property
    def victims(self) -> list[RawStack]:
        """Where tasks were parked when this scope cancelled them, while it is open."""
        return [pairs(flat) for flat in self._with_victims(self.hits or [])]

    def take_hits(self) -> "list[tuple[TaskRecord, CancelOrigin]]":
        """Return whom it has cancelled since the last call; may be called in any thread."""
        hits = self.hits
        if not hits:
            return []
        taken = hits[:]
        del hits[: len(taken)]  # more may have come meanwhile
        self.flat_victims = self._with_victims(taken)
        return taken

    def _with_victims(self, hits: "list[tuple[TaskRecord, CancelOrigin]]") -> list[FlatStack]:
        """Return the first places where tasks were hit, each once."""
        found = list(self.flat_victims or ())
        for _, origin in hits:
            if len(found) >= _MOST_VICTIMS:
                break
            if origin.flat_parked not in found:
                found.append(origin.flat_parked)
        return found


def scope_record(entry: OpenScope, owner: "TaskRecord") -> ScopeRecord:
    """Return the record of an open scope of `owner`, made now if nobody has asked for it.

    May be called in any thread; two that ask at once get the same record.
    """
    key, kind, serial, entered_ns, flat_stack, shield, record = entry
    if record is None:
        made = ScopeRecord(owner, key, kind, serial, entered_ns, flat_stack, shield)
        record = entry[-1]
        if record is None:
            record = entry[-1] = made
    known: ScopeRecord = record
    return known


def left_record(left: ScopeRecord | LeftScope) -> ScopeRecord:
    """Return the record of a scope that was left, out of the outbox."""
    if isinstance(left, ScopeRecord):
        return left
    entry, owner, left_ns = left
    record = scope_record(entry, owner)
    record.left_ns = left_ns
    return record
