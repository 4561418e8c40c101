"""Together with the program's own OpenTelemetry: one tree of its spans and ours."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.export.receiver import Received, http_receiver
from tests.helpers import ROOT, SCRIPTS, run_child

pytestmark = pytest.mark.slow

PROVIDER = """
import asyncio, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = trace.get_tracer("program")
"""


def run(tmp_path: Path, program: str, **env: str) -> Received:
    path = tmp_path / "program.py"
    path.write_text(PROVIDER + textwrap.dedent(program))
    with http_receiver() as (url, received):
        environ = {
            "ASYNCSCOPE_ENABLE": "1",
            "ASYNCSCOPE_QUIET": "1",
            "ASYNCSCOPE_BLOCK_MS": "100000",  # sending each span by itself blocks the loop
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_METRICS_EXPORTER": "none",
            "PYTHONPATH": str(ROOT),
        }
        child = run_child(path, env=environ | env)
        assert (child.status, child.err) == (0, "")
    return received


REQUEST = """
async def fetch(number):
    with tracer.start_as_current_span("query"):
        await asyncio.sleep(0)

async def job():
    with tracer.start_as_current_span("job span"):
        await asyncio.create_task(fetch(3))

async def handle():
    with tracer.start_as_current_span("request"):
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch(1))
            group.create_task(fetch(2))
        return asyncio.create_task(job())

async def main():
    job = await handle()
    await job

asyncio.run(main())
"""
FETCH: Any = ("fetch", [("query", [])])
TREE: list[Any] = [
    ("main", [("asyncio.TaskGroup", [])]),
    ("request", [FETCH, FETCH, ("job", [("job span", [FETCH])])]),
]


@pytest.mark.parametrize("exporter", ["otlp", "provider"])
def test_program_spans_and_tasks_alternate(tmp_path: Path, exporter: str) -> None:
    received = run(tmp_path, REQUEST, ASYNCSCOPE_EXPORTER=exporter)
    assert received.tree() == TREE
    (main,) = [span for span in received.spans if span.name == "main"]
    fetched = [span for span in received.spans if span.name == "fetch"]
    to_main = [link for span in fetched for link in span.links if link.span_id == main.span_id]
    assert len(to_main) == 2  # their creator stands in another trace


def test_nesting_can_be_switched_off(tmp_path: Path) -> None:
    received = run(tmp_path, REQUEST, ASYNCSCOPE_EXPORTER="provider", ASYNCSCOPE_NEST_SPANS="0")
    request: list[Any] = [("fetch", []), ("fetch", []), ("job", [])]
    request += [("job span", [("fetch", []), ("query", [])]), ("query", []), ("query", [])]
    assert received.tree() == [TREE[0], ("request", request)]


def test_spans_of_an_unsampled_request_stay_out(tmp_path: Path) -> None:
    received = run(
        tmp_path, REQUEST, ASYNCSCOPE_EXPORTER="provider", OTEL_TRACES_SAMPLER="always_off"
    )
    assert received.spans == []


WEB = """
import asyncio, socket
import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import uvicorn

async def price(request):
    await asyncio.sleep(0.001)
    return PlainTextResponse("7")

async def quote(request):
    async def ask(number):
        answer = await client.get(f"{base}/price/{number}")
        return answer.text
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(number)) for number in range(2)]
    return PlainTextResponse(",".join([task.result() for task in asked]))

async def main():
    global base, client
    app = Starlette(routes=[Route("/quote", quote), Route("/price/{number}", price)])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient() as client:
        for _ in range(2):
            assert (await client.get(f"{base}/quote")).text == "7,7"
    server.should_exit = True
    await serving

asyncio.run(main())
"""


OF_ANYIO = {"anyio.CancelScope", "lock hold", "lock wait", "connect_tcp.<locals>.try_connect"}
"""As many as the connection pool and the load on the machine happen to need."""

REQUEST_TREE = """\
GET
  GET /quote
    GET /quote http send
    GET /quote http send
    quote.<locals>.ask
      GET
        GET /price/{number}
          GET /price/{number} http send
          GET /price/{number} http send
    quote.<locals>.ask
      GET
        GET /price/{number}
          GET /price/{number} http send
          GET /price/{number} http send"""


def test_request_is_one_trace_under_opentelemetry_instrument(tmp_path: Path) -> None:
    """No step but `opentelemetry-instrument`, with instrumented starlette and httpx."""
    path = tmp_path / "web.py"
    path.write_text(WEB)
    with http_receiver() as (url, received):
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "quotes",
            "ASYNCSCOPE_QUIET": "1",
            "ASYNCSCOPE_BLOCK_MS": "100000",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "asyncio",
            "OTEL_METRICS_EXPORTER": "none",
            "PYTHONPATH": str(ROOT),
        }
        command = (SCRIPTS / "opentelemetry-instrument", SCRIPTS / "python", path)
        child = run_child(*command, python="", env=environ)
        assert (child.status, child.err) == (0, "")
    received.spans = [span for span in received.spans if span.name not in OF_ANYIO]
    traces = [tree for tree in received.tree() if tree[0] == "GET"]
    assert ["\n".join(lines([tree])) for tree in traces] == [REQUEST_TREE] * 2


def lines(tree: list[Any], depth: int = 0) -> list[str]:
    found = []
    for name, below in tree:
        found += ["  " * depth + name, *lines(below, depth + 1)]
    return found


OWN_PROVIDERS = """
import asyncio, gc
from opentelemetry import _logs, metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader, exporter = InMemoryMetricReader(), InMemoryLogExporter()
metrics.set_meter_provider(MeterProvider([reader]))
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
_logs.set_logger_provider(provider)

async def rows():
    yield 1
    yield 2

async def first():
    async for row in rows():
        return row

async def main():
    await asyncio.create_task(first())
    gc.collect()
    await asyncio.sleep(0.01)

asyncio.run(main())

from autoinstrument.agent import current
current().finish()
found = [
    metric.name
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
]
assert "asyncscope.task.duration" in found, found
assert "asyncscope.task.created" in found, found
events = [item.log_record.event_name for item in exporter.get_finished_logs()]
assert events == ["asyncscope.async_generator_not_closed"], events
"""


def test_metrics_and_logs_go_through_the_programs_providers(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(OWN_PROVIDERS)
    environ = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_QUIET": "1",
        "ASYNCSCOPE_EXPORTER": "provider",
        "PYTHONPATH": str(ROOT),
    }
    child = run_child("-W", "ignore", path, env=environ)
    assert (child.status, child.err) == (0, "")
