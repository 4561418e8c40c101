"""OpenTelemetry's asyncio instrumentation with the SDK, batched and sent over OTLP/HTTP."""

from collections.abc import Coroutine
from importlib import import_module
from typing import Any


class Peer:
    """A span for each task of a named coroutine function."""

    def __init__(self) -> None:
        sdk = import_module("opentelemetry.sdk.trace")
        batch = import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        self._seen = 0
        self._provider = sdk.TracerProvider()
        self._provider.add_span_processor(batch(otlp.OTLPSpanExporter()))
        import_module("opentelemetry.trace").set_tracer_provider(self._provider)
        import_module("opentelemetry.instrumentation.asyncio").AsyncioInstrumentor().instrument()

    async def around(self, job: Coroutine[Any, Any, Any]) -> Any:
        return await job

    def recorded(self) -> dict[str, int]:
        self._provider.force_flush()
        return {}
