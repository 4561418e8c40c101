"""The vocabulary of the package: what hooks and trackers write down.

A record is a slotted object with numbers, code places and weak references. It holds no
strong reference to a task, frame, coroutine, exception or value of the watched program.
Times are `time.monotonic_ns()`; a place is `(code object, instruction offset)` and becomes
a file and a line only when somebody reads it (`autoinstrument.places`).
"""

from .locks import (
    ContendedHold,
    EndedWait,
    Hold,
    LockRecord,
    OpenWait,
    WaitRecord,
    ended_wait,
    wait_record,
)
from .places import UNTIMED, FlatStack, RawPlace, RawStack, pairs
from .scopes import LeftScope, ScopeRecord, left_record, scope_record
from .tasks import CANCELLED, ENDED, FAILED, RETURNED, RUNNING, CancelOrigin, TaskRecord, name_of
from .work import (
    GatherRecord,
    GeneratorRecord,
    HopRecord,
    LoopRecord,
    SessionRecord,
    ShieldRecord,
    StartedGenerator,
)

__all__ = [
    "CANCELLED",
    "ENDED",
    "FAILED",
    "RETURNED",
    "RUNNING",
    "UNTIMED",
    "CancelOrigin",
    "ContendedHold",
    "EndedWait",
    "FlatStack",
    "GatherRecord",
    "GeneratorRecord",
    "Hold",
    "HopRecord",
    "LeftScope",
    "LockRecord",
    "LoopRecord",
    "OpenWait",
    "RawPlace",
    "RawStack",
    "ScopeRecord",
    "SessionRecord",
    "ShieldRecord",
    "StartedGenerator",
    "TaskRecord",
    "WaitRecord",
    "ended_wait",
    "left_record",
    "name_of",
    "pairs",
    "scope_record",
    "wait_record",
]
