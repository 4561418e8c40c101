"""Which scopes become spans, and which lie around which.

There may be many of them, ten in each request, and nearly all are left by their own task in order:
then nothing is made of them before it is known that they are exported.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

from autoinstrument.export.statics import Static, Statics
from autoinstrument.records import FAILED, UNTIMED, LeftScope, ScopeRecord, TaskRecord, left_record

_serial: Final = attrgetter("serial")
SHORT_SCOPE_NS: Final = 1_000_000
"""Scopes of libraries that were left within this time, and did nothing, are only counted."""

_HOUSEKEEPING: Final = (".shutdown_asyncgens", ".shutdown_default_executor", "_athrow")
"""Tasks that loops make for themselves at the end and for dropped async generators."""


def is_housekeeping(qualname: str) -> bool:
    """Whether a task of this name is the loop's own, which is told of only if it failed."""
    return qualname.endswith(_HOUSEKEEPING)


def matters(left: ScopeRecord | LeftScope) -> bool:
    """Whether a scope is exported whatever the budget says, if its trace is."""
    if not isinstance(left, ScopeRecord) and left[0][-1] is None:
        return False  # left by its own task, and nobody has ever asked for it
    scope = left_record(left)
    return bool(scope.expired_ns or scope.cancel_origin or scope.left_by != scope.owner_serial)


def shown(
    lefts: Sequence[ScopeRecord | LeftScope], statics: Statics
) -> list[tuple[ScopeRecord, Static]]:
    """Return the records of scopes that are to have a span, with its constant part.

    Left out is small talk, scopes of a library that did nothing and were left at once: HTTP clients
    enter several in each request, and they would hide what the program does. So would those that
    anyio 4.14 and newer enter around each task that they run. What was entered before there were
    exporters has no time.
    """
    found = []
    owner_before: TaskRecord | None = None
    housekeeping = False
    for left in lefts:
        if isinstance(left, ScopeRecord):
            entered_ns, left_ns, owner = left.entered_ns, left.left_ns, left.owner
            site = statics.of_scope(left.kind, left.flat_stack)
        else:
            (_, kind, _, entered_ns, flat, _, _), owner, left_ns = left
            site = statics.of_scope(kind, flat)
        if site.around_task or entered_ns == UNTIMED:
            continue
        is_short = left_ns and left_ns - entered_ns < SHORT_SCOPE_NS
        if is_short and site.by_library and not matters(left):
            continue
        if owner is not owner_before and owner is not None:
            owner_before = owner
            housekeeping = is_housekeeping(owner.qualname) and owner.outcome != FAILED
        if owner is None or not housekeeping:
            found.append((left_record(left), site.static))
    return found


def enclosing(scopes: Iterable[ScopeRecord]) -> dict[int, ScopeRecord]:
    """Return the innermost scope of the same task around each of these, by serial number.

    Scopes that their owner has open count too. A task may have entered any number of scopes since
    the last batch, so its scopes are gone through once, in the order of entry: one that was left
    earlier than a later one lies around nothing that comes after that.
    """
    owned: dict[int, list[ScopeRecord]] = {}
    for scope in scopes:
        owner = scope.owner
        serial = owner.serial if owner is not None else 0
        group = owned.get(serial)
        if group is not None:
            group.append(scope)
        elif owner is not None and owner.open_scopes:
            owned[serial] = [*owner.scopes, scope]
        else:
            owned[serial] = [scope]
    around: dict[int, ScopeRecord] = {}
    for group in owned.values():
        if len(group) == 1:
            continue
        group.sort(key=_serial)
        outer: list[ScopeRecord] = []
        for scope in group:
            if outer and outer[-1] is scope:
                continue  # open, and asked for because it is
            left_ns = scope.left_ns
            while outer and outer[-1].left_ns > 0 and (not left_ns or outer[-1].left_ns < left_ns):
                outer.pop()
            if outer:
                around[scope.serial] = outer[-1]
            outer.append(scope)
    return around
