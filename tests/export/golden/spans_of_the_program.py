import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("program")


async def query() -> None:
    with tracer.start_as_current_span("SELECT"):
        await asyncio.sleep(0)


async def main() -> None:
    with tracer.start_as_current_span("request"):
        await asyncio.create_task(query(), name="query")


asyncio.run(main())
