"""Which scopes that were left become spans.

There may be many of them, ten in each request, and nearly all are left by their own task in order:
then nothing is made of them before it is known that they are exported.
"""

from typing import Final

from autoinstrument.export.statics import Statics
from autoinstrument.records import FAILED, UNTIMED, LeftScope, ScopeRecord, left_record

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


def shown(left: ScopeRecord | LeftScope, statics: Statics) -> ScopeRecord | None:
    """Return the record of a scope that is to have a span, None of what is small talk.

    That are scopes of a library that did nothing and were left at once: HTTP clients enter several
    in each request, and they would hide what the program does. So would those that anyio 4.14 and
    newer enter around each task that they run. What was entered before there were exporters has no
    time.
    """
    if isinstance(left, ScopeRecord):
        entered_ns, left_ns, owner = left.entered_ns, left.left_ns, left.owner
        site = statics.of_scope(left.kind, left.flat_stack)
    else:
        entry, owner, left_ns = left
        entered_ns = entry[3]
        site = statics.of_scope(entry[1], entry[4])
    if site.around_task or entered_ns == UNTIMED:
        return None
    if site.by_library and left_ns and left_ns - entered_ns < SHORT_SCOPE_NS and not matters(left):
        return None
    if owner is not None and is_housekeeping(owner.qualname) and owner.outcome != FAILED:
        return None
    return left_record(left)
