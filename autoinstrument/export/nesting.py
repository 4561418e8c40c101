"""Put a task's span between the program's spans around it and those made inside it.

Only in programs that use OpenTelemetry, and only for tasks created while a span of the program
is current: trace and flags are then the program's, and its sampler decides as it would without
us. Below a trace of ours a parent-based sampler would follow our decision instead of its own.
"""

import gc
import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from autoinstrument.export.propagation import program_span_context
from autoinstrument.export.traces import SpanContext, Traces
from autoinstrument.records import TaskRecord

if TYPE_CHECKING:
    from types import FrameType

_MOST_FRAMES: Final = 8  # from here up to the loop's `create_task`


class Nesting:
    """Places each new task below the program's current span, if there is one."""

    def __init__(self, traces: Traces, *, inside: bool) -> None:
        """With `inside`, spans that the program makes in the task hang below the task's span."""
        self._traces = traces
        self._inside = inside

    def __call__(self, task: Any, record: TaskRecord) -> None:
        """Look for the program's span; called in the program's thread by `create_task`.

        Only in programs that use OpenTelemetry, for tasks made in a context that is not empty.
        """
        around = program_span_context()
        if around is None:
            return
        if not self._inside:
            record.trace = around
            return
        placement = self._traces.place_within(record, around)
        if placement is not None and not _context_is_given():
            own = (around[0], placement.span_id, around[2])
            make_current_inside(task, around, own)


class Unknown:
    """Stands in for the context's variable where that has another name: it may be anything."""

    def get(self, default: object = None) -> bool:
        """Return that it is not empty."""
        return True


def make_current_inside(task: Any, around: SpanContext, own: SpanContext) -> bool:
    """Make the span `own` the current one inside a new task, in the place of `around`.

    Returns False, and does nothing, where the task has begun and made another span current, or
    where its context cannot be reached: an eager task that still runs, a task class of the
    program.
    """
    context = _context_of(task)
    if context is None:
        return False
    try:
        return bool(context.run(_replace, around, own))
    except RuntimeError:  # entered: an eager task that runs
        return False


def _context_of(task: Any) -> Context | None:
    get_context = getattr(task, "get_context", None)
    if get_context is not None:
        found = get_context()
        return found if isinstance(found, Context) else None
    # Python 3.11 has no way to ask; the garbage collector knows what a task refers to.
    contexts = [item for item in gc.get_referents(task) if type(item) is Context]
    return contexts[0] if len(contexts) == 1 else None


def _context_is_given() -> bool:
    """Whether `create_task` was called with `context=`: it may be shared with other tasks."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MOST_FRAMES):
        if frame is None:
            break
        if frame.f_code.co_name == "create_task":
            names = frame.f_locals
            keywords = names.get("kwargs")
            given = keywords.get("context") if isinstance(keywords, dict) else None
            return names.get("context", given) is not None
        frame = frame.f_back
    return True  # a way to make tasks that is not known here


def _replace(around: SpanContext, own: SpanContext) -> bool:
    """Called inside the task's context."""
    if program_span_context() != around:
        return False
    api: Any = sys.modules["opentelemetry.trace"]
    trace_id, span_id, flags = own
    span = api.NonRecordingSpan(
        api.SpanContext(trace_id, span_id, is_remote=False, trace_flags=api.TraceFlags(flags))
    )
    sys.modules["opentelemetry.context"].attach(api.set_span_in_context(span))
    return True
