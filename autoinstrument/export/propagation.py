"""Traces that reach beyond our own spans: the program's spans, and other processes.

Nothing here imports OpenTelemetry on behalf of a program that does not use it.
"""

import sys
from collections.abc import Mapping
from typing import Any

from autoinstrument.export.traces import SpanContext


def program_span_context() -> SpanContext | None:
    """Return the program's current span as (trace, span, flags), or None.

    Called in the program's thread when a task is created. Costs one dictionary look-up in
    programs that do not use OpenTelemetry.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    get_current_span = getattr(api, "get_current_span", None)
    if get_current_span is None:  # being imported right now
        return None
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return context.trace_id, context.span_id, int(context.trace_flags)


def remote_parent(environ: Mapping[str, str]) -> SpanContext | None:
    """Return the span of the process that started this one, from `TRACEPARENT`.

    Honours `OTEL_PROPAGATORS`: without `tracecontext` in it, the variable is not read.
    """
    if "tracecontext" not in _propagators(environ):
        return None
    return parse_traceparent(environ.get("TRACEPARENT", ""))


def _propagators(environ: Mapping[str, str]) -> list[str]:
    text = environ.get("OTEL_PROPAGATORS", "").strip() or "tracecontext,baggage"
    return [part.strip() for part in text.split(",")]


def parse_traceparent(text: str) -> SpanContext | None:
    """Read the W3C header; None for anything that is not one."""
    parts = text.strip().split("-")
    lengths = [len(part) for part in parts[:4]]
    if lengths != [2, 32, 16, 2] or parts[0] == "ff" or (parts[0] == "00" and len(parts) > 4):
        return None
    if any(set(part) - set("0123456789abcdef") for part in parts[:4]):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    return (trace_id, span_id, flags) if trace_id and span_id else None


def traceparent(context: SpanContext) -> str:
    """Write the W3C header."""
    trace_id, span_id, flags = context
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 1:02x}"


def child_environment(environ: Mapping[str, str], context: SpanContext) -> dict[str, str]:
    """Return the environment for a child process of the task whose span is `context`.

    A `BAGGAGE` that this process was given is passed on as it is.
    """
    if "tracecontext" not in _propagators(environ):
        return dict(environ)
    return {**environ, "TRACEPARENT": traceparent(context)}


def nest_program_spans(task: Any, context: SpanContext) -> bool:
    """Make the span of a new task the current one inside it, for spans the program makes there.

    Call it after `create_task`, only for a task whose context was copied for it (no `context=`
    was given), so that the caller's own context is not touched, and only when a span of the
    program was current (`program_span_context()`): trace and flags are then the program's, and
    its sampler decides as it would without us. Below a trace of ours a parent-based sampler
    would follow our decision instead of its own.

    Returns False where it cannot be done: before Python 3.12 a task's context cannot be reached,
    and an eager task is inside it already.
    """
    api = sys.modules.get("opentelemetry.trace")
    get_context = getattr(task, "get_context", None)
    if api is None or get_context is None:
        return False
    trace_id, span_id, flags = context
    span = api.NonRecordingSpan(
        api.SpanContext(trace_id, span_id, is_remote=False, trace_flags=api.TraceFlags(flags))
    )
    try:
        get_context().run(_attach, api.set_span_in_context(span))
    except RuntimeError:  # the context is entered: an eager task that runs
        return False
    return True


def _attach(context: Any) -> None:
    sys.modules["opentelemetry.context"].attach(context)
