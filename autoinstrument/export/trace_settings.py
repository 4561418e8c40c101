"""What must be known of the exporters from the start; they themselves are loaded later."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from autoinstrument.export.batch import ExportSettings
from autoinstrument.export.ids import SpanIds
from autoinstrument.export.propagation import RemoteParent
from autoinstrument.export.sampling import Budget, head_sampler
from autoinstrument.export.traces import Traces
from autoinstrument.export.transport import Variables

MAIN_FILE: Final = getattr(sys.modules.get("__main__"), "__file__", None)
"""The program's main file, read early: the interpreter takes it away once the program is over."""

SDK_PROTOCOLS: Final = {"http/protobuf": "otlp-protobuf", "grpc": "grpc"}
"""What only the official exporters send, which need the SDK, and the extra that brings them."""


def make_traces(
    settings: ExportSettings, environ: Mapping[str, str], say: Callable[[str], None]
) -> Traces:
    """Return empty traces, with the sampler and the parent that the environment names."""
    return Traces(
        head_sampler(environ, say),
        SpanIds(),
        Budget(settings.span_budget, time.monotonic_ns()),
        RemoteParent(environ),
        keep=settings.most_placed,
    )


def needs_sdk(settings: ExportSettings, environ: Mapping[str, str]) -> bool:
    """Whether the OpenTelemetry SDK will be loaded."""
    protocol = Variables(environ, lambda line: None).get("traces", "PROTOCOL").lower()
    names = settings.exporters
    return "provider" in names or ("otlp" in names and protocol in SDK_PROTOCOLS)
