"""Traces that reach beyond our own spans: the program's spans, and other processes.

Nothing here imports OpenTelemetry on behalf of a program that does not use it.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import quote

from autoinstrument.export.traces import SpanContext

_MULTIPROCESSING_KEY: Final = "asyncscope.traceparent"


def program_span_context() -> SpanContext | None:
    """Return the program's current span as (trace, span, flags), or None; in its thread."""
    api = sys.modules.get("opentelemetry.trace")
    get_current_span = getattr(api, "get_current_span", None)
    if get_current_span is None:  # not there, or being imported right now
        return None
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return context.trace_id, context.span_id, int(context.trace_flags)


def program_providers() -> tuple[Any, ...]:
    """Return the providers of traces, metrics and logs that the program has set, or None each.

    The public functions would make one where there is none.
    """
    return tuple(
        getattr(sys.modules.get(f"opentelemetry.{module}"), name, None)
        for module, name in (
            ("trace", "_TRACER_PROVIDER"),
            ("metrics._internal", "_METER_PROVIDER"),
            ("_logs._internal", "_LOGGER_PROVIDER"),
        )
    )


def context_variable() -> ContextVar[Any] | None:
    """Return the variable that holds the program's OpenTelemetry context.

    It has no public name. A look at it costs 50 ns where the way through the API costs 500
    (CPython 3.13), for programs that use none but have it loaded, as by our own exporters.
    """
    module = sys.modules.get("opentelemetry.context")
    runtime = getattr(module, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    return variable if isinstance(variable, ContextVar) else None


class RemoteParent:
    """The span of another process under which this one hangs, or None."""

    def __init__(self, environ: Mapping[str, str], forked: SpanContext | None = None) -> None:
        """Read `TRACEPARENT`; `forked` is the span in which this process was forked."""
        self._on = "tracecontext" in _propagators(environ)
        self._known = forked or (
            parse_traceparent(environ.get("TRACEPARENT", "")) if self._on else None
        )

    def __call__(self) -> SpanContext | None:
        """Return (trace, span, flags); asked when a first span is placed, not before.

        A child made by `multiprocessing` learns it late: after its main module was imported.
        """
        if self._on:
            return _started_by() or self._known
        return self._known


def _started_by() -> SpanContext | None:
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return None
    text = getattr(process.current_process(), "_config", {}).get(_MULTIPROCESSING_KEY, "")
    return parse_traceparent(text) if text else None


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


def child_environment(environ: Mapping[Any, Any] | None, context: SpanContext) -> Any:
    """Return the environment for a Python child of the task whose span is `context`.

    `environ` is what the program gives the child, None being its own. What the program puts
    there itself stays: a `TRACEPARENT` that this process has too was only copied. `BAGGAGE` of
    the program's current context goes along.
    """
    own = os.environ
    if "tracecontext" not in _propagators(own):
        return environ
    if environ is None:
        made: MutableMapping[Any, Any] = dict(own)
    elif type(environ) is not dict and environ is not own:
        return environ  # of a kind that may mean something to who gave it
    else:
        made = dict(environ)
    given = made.get("TRACEPARENT")
    if b"TRACEPARENT" in made or (given is not None and given != own.get("TRACEPARENT")):
        return environ
    made["TRACEPARENT"] = traceparent(context)
    made.pop("TRACESTATE", None)  # it belongs to the parent that is replaced
    baggage = _baggage() if "baggage" in _propagators(own) else ""
    if baggage and made.get("BAGGAGE") == own.get("BAGGAGE"):
        made["BAGGAGE"] = baggage
    return made


def configure_child(process: Any, context: SpanContext | None) -> None:
    """Put the span into the part of a `multiprocessing` process that is handed to the child."""
    config: Any = getattr(process, "_config", None)
    if type(config) is not dict:
        return
    config.pop(_MULTIPROCESSING_KEY, None)  # copied from the process that this one is a child of
    if context is not None and "tracecontext" in _propagators(os.environ):
        config[_MULTIPROCESSING_KEY] = traceparent(context)


def _baggage() -> str:
    """Return the program's current baggage as the W3C header; empty when it has none."""
    api = sys.modules.get("opentelemetry.baggage")
    get_all = getattr(api, "get_all", None)
    if get_all is None:
        return ""
    return ",".join(f"{quote(key)}={quote(str(value))}" for key, value in get_all().items())
