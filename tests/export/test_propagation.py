"""The program's own spans, and other processes."""

import asyncio
import contextvars
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.exporters import make_exporters
from autoinstrument.export.ids import SpanIds
from autoinstrument.export.propagation import (
    child_environment,
    nest_program_spans,
    parse_traceparent,
    program_span_context,
    remote_parent,
    traceparent,
)
from tests.export.play import Play
from tests.helpers import run_child


def test_current_span_of_the_program_is_read() -> None:
    tracer = TracerProvider().get_tracer("program")
    assert program_span_context() is None
    with tracer.start_as_current_span("request") as span:
        context = span.get_span_context()
        flags = int(context.trace_flags)
        assert program_span_context() == (context.trace_id, context.span_id, flags)
        assert flags & 1


def test_program_without_opentelemetry_stays_without() -> None:
    code = (
        "import sys; from autoinstrument.export.propagation import program_span_context as p\n"
        "assert p() is None; assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    child = run_child("-c", code)
    assert (child.status, child.err) == (0, "")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a task's context cannot be reached")
def test_spans_of_the_program_nest_below_their_task() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("program")

    async def work() -> None:
        with tracer.start_as_current_span("query"):
            await asyncio.sleep(0)

    async def main() -> None:
        with tracer.start_as_current_span("request") as request:
            trace_id = request.get_span_context().trace_id
            task = asyncio.create_task(work())
            assert nest_program_spans(task, (trace_id, 0xBEEF, 1))
            assert trace.get_current_span() is request
            await task

    asyncio.run(main())
    query, request = memory.get_finished_spans()
    assert query.parent is not None
    assert request.context is not None
    assert (query.parent.trace_id, query.parent.span_id) == (request.context.trace_id, 0xBEEF)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a task's context cannot be reached")
def test_one_tree_of_the_programs_spans_and_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter `provider`: all spans in the program's own exporter, one coherent trace."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    tracer = provider.get_tracer("program")
    settings = ExportSettings(exporters=("provider",))
    environ = {"OTEL_METRICS_EXPORTER": "none"}
    (exporter,) = make_exporters(settings, environ, pytest.fail)
    play = Play()

    async def query() -> None:
        with tracer.start_as_current_span("query"):
            await asyncio.sleep(0)

    async def main() -> None:
        with tracer.start_as_current_span("request"):
            record = play.task("task", 1, 50, program=program_span_context())
            task = asyncio.create_task(query())
            assert nest_program_spans(task, exporter.span_context(record, None))
            await task

    asyncio.run(main())
    exporter.drain(play.batch())
    exporter.finish(Batch(), Batch(), 1.0)
    spans = memory.get_finished_spans()
    parents = {span.name: span.parent.span_id if span.parent else 0 for span in spans}
    numbers = {span.name: span.context.span_id for span in spans if span.context is not None}
    assert parents == {"request": 0, "task": numbers["request"], "query": numbers["task"]}
    assert len({span.context.trace_id for span in spans if span.context is not None}) == 1
    assert exporter.statistics()["exported"] == 1


def test_entered_context_is_left_alone() -> None:
    class Running:
        def get_context(self) -> contextvars.Context:
            return context

    context = contextvars.copy_context()
    assert context.run(nest_program_spans, Running(), (1, 2, 1)) is False


GOOD = f"00-{0xABC:032x}-{0xDEF:016x}-01"


@pytest.mark.parametrize(
    "text",
    ["", "00", GOOD[:-1], GOOD + "-00", GOOD.upper(), "ff" + GOOD[2:], f"00-{0:032x}-{1:016x}-01"],
)
def test_wrong_header_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_header_survives_a_round_trip() -> None:
    assert parse_traceparent(GOOD) == (0xABC, 0xDEF, 1)
    assert traceparent((0xABC, 0xDEF, 1)) == GOOD
    environ = child_environment({"BAGGAGE": "a=b"}, (0xABC, 0xDEF, 1))
    assert environ == {"BAGGAGE": "a=b", "TRACEPARENT": GOOD}
    assert remote_parent(environ) == (0xABC, 0xDEF, 1)


def test_propagators_without_tracecontext_switch_it_off() -> None:
    environ = {"OTEL_PROPAGATORS": "b3", "TRACEPARENT": GOOD}
    assert remote_parent(environ) is None
    assert child_environment({"OTEL_PROPAGATORS": "none"}, (1, 2, 1)) == {
        "OTEL_PROPAGATORS": "none"
    }


def test_numbers_of_spans_never_collide() -> None:
    ids = SpanIds(5)
    numbers = {ids.of(kind, serial) for kind in range(4) for serial in range(5_000)}
    assert len(numbers) == 20_000
    assert SpanIds(5).of(0, 1) == ids.of(0, 1) != SpanIds().of(0, 1)
