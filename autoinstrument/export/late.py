"""Loading the OpenTelemetry SDK once the interpreter ends: for programs that were too short.

`opentelemetry.sdk._logs` asks the SDK's resource detectors while it is imported, in a pool of
threads, and an interpreter that ends starts no threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_detectors() -> Iterator[None]:
    """Let the SDK be imported without its detectors; nothing of ours uses what they find."""
    try:
        from opentelemetry.sdk import resources
    except ImportError:
        yield
        return
    original: Any = resources.get_aggregated_resources
    resources.get_aggregated_resources = _none
    try:
        yield
    finally:
        resources.get_aggregated_resources = original


def _none(detectors: Any, initial_resource: Any = None, timeout: int = 5) -> Any:
    from opentelemetry.sdk.resources import Resource

    return initial_resource if initial_resource is not None else Resource({})
