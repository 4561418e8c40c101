"""The program's own spans, and other processes."""

import asyncio
import contextvars
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from autoinstrument.export.batch import ExportSettings
from autoinstrument.export.ids import SpanIds
from autoinstrument.export.nesting import Nesting, make_current_inside
from autoinstrument.export.propagation import (
    RemoteParent,
    child_environment,
    configure_child,
    context_variable,
    parse_traceparent,
    program_span_context,
    traceparent,
)
from autoinstrument.export.trace_settings import make_traces
from autoinstrument.export.traces import MOST_SPANS, Placement, SpanContext, Traces
from autoinstrument.hooks.child_processes import _is_python
from tests.export.play import Play
from tests.helpers import run_child


def test_current_span_of_the_program_is_read() -> None:
    tracer = TracerProvider().get_tracer("program")
    assert program_span_context() is None
    variable = context_variable()
    assert variable is not None
    assert not variable.get(None)
    with tracer.start_as_current_span("request") as span:
        found = span.get_span_context()
        flags = int(found.trace_flags)
        assert program_span_context() == (found.trace_id, found.span_id, flags)
        assert flags & 1
        assert variable.get(None)


def test_program_without_opentelemetry_stays_without() -> None:
    code = (
        "import sys; from autoinstrument.export.propagation import program_span_context as p\n"
        "assert p() is None; assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    child = run_child("-c", code)
    assert (child.status, child.err) == (0, "")


class Program:
    """A program that makes spans, and what it exported."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = provider.get_tracer("program")

    def parents(self) -> dict[str, int]:
        spans = self.memory.get_finished_spans()
        return {span.name: span.parent.span_id if span.parent else 0 for span in spans}


OWN = 0xBEEF


def around() -> SpanContext:
    found = program_span_context()
    assert found is not None
    return found


def nest(task: Any) -> bool:
    outer = around()
    return make_current_inside(task, outer, (outer[0], OWN, 1))


def test_spans_of_the_program_nest_below_their_task() -> None:
    program = Program()

    async def work() -> None:
        with program.tracer.start_as_current_span("query"):
            await asyncio.sleep(0)

    async def main() -> None:
        with program.tracer.start_as_current_span("request") as request:
            task = asyncio.create_task(work())
            assert nest(task)
            assert trace.get_current_span() is request
            await task

    asyncio.run(main())
    assert program.parents() == {"query": OWN, "request": 0}


def test_task_that_made_another_span_current_is_left_alone() -> None:
    """An eager task has run its first step before its record is made."""
    program = Program()
    task_context = contextvars.copy_context()

    class Eager:
        def get_context(self) -> contextvars.Context:
            return task_context

    with program.tracer.start_as_current_span("request"):
        outer = around()
        task_context.run(lambda: context.attach(context.set_value("x", 1)))
        assert make_current_inside(Eager(), outer, (outer[0], OWN, 1)) is False


def test_entered_context_is_left_alone() -> None:
    class Running:
        def get_context(self) -> contextvars.Context:
            return entered

    entered = contextvars.copy_context()
    assert entered.run(make_current_inside, Running(), (1, 2, 1), (1, 3, 1)) is False


def traces(budget: int = 1_000) -> Traces:
    return make_traces(ExportSettings(span_budget=budget), {}, pytest.fail)


def test_full_trace_of_the_program_is_continued_in_another_one() -> None:
    placed = traces(10_000)
    play = Play()
    records = [play.task(f"t{number}", number) for number in range(MOST_SPANS + 2)]
    inside = [placed.place_within(record, (0xABC, 0xDEF, 1)) for record in records]
    first, last = records[0].trace, records[-1].trace
    assert isinstance(first, Placement)
    assert isinstance(last, Placement)
    assert (first.trace.trace_id, first.parent_id) == (0xABC, 0xDEF)
    assert inside[MOST_SPANS - 1] is not None
    assert inside[MOST_SPANS:] == [None, None]  # the program's spans stay where they are
    assert last.trace is records[MOST_SPANS].trace.trace
    assert last.link is not None
    assert (last.link.trace_id, last.link.span_id, last.link.kind) == (0xABC, 0xDEF, "continues")


def test_no_span_of_the_program_hangs_below_one_that_the_budget_drops() -> None:
    placed = traces(1)
    play = Play()
    found = [
        placed.place_within(play.task(f"t{number}", number), (number + 1, 0xDEF, 1))
        for number in range(4)
    ]
    assert [item is not None for item in found] == [True, True, False, False]


def test_context_given_to_create_task_is_left_alone() -> None:
    program = Program()
    nesting = Nesting(traces(), inside=True)
    play = Play()

    def create_task(coro: Any, *, context: Any = None) -> Any:
        task = asyncio.get_running_loop().create_task(coro, context=context)
        nesting(task, play.task(f"t{len(play.tasks)}"))
        return task

    async def current() -> int:
        return trace.get_current_span().get_span_context().span_id

    async def main() -> tuple[int, int, int]:
        with program.tracer.start_as_current_span("request"):
            given = contextvars.copy_context()
            own = around()[1]
            return own, await create_task(current(), context=given), await create_task(current())

    request, shared, copied = asyncio.run(main())
    assert shared == request
    assert copied == play.tasks["t1"].trace.span_id != request


GOOD = f"00-{0xABC:032x}-{0xDEF:016x}-01"
OTHER = f"00-{0xABCD:032x}-{0xDEF:016x}-01"
CONTEXT = (0xABC, 0xDEF, 1)


@pytest.mark.parametrize(
    "text",
    ["", "00", GOOD[:-1], GOOD + "-00", GOOD.upper(), "ff" + GOOD[2:], f"00-{0:032x}-{1:016x}-01"],
)
def test_wrong_header_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_header_survives_a_round_trip() -> None:
    assert parse_traceparent(GOOD) == CONTEXT
    assert traceparent(CONTEXT) == GOOD
    environ = child_environment({"A": "b"}, CONTEXT)
    assert environ == {"A": "b", "TRACEPARENT": GOOD}
    assert RemoteParent(environ)() == CONTEXT


def test_environment_of_the_program_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("TRACEPARENT", raising=False)
    before = dict(os.environ)
    assert child_environment(None, CONTEXT) == before | {"TRACEPARENT": GOOD}
    given = {"A": "b"}
    child_environment(given, CONTEXT)
    assert given == {"A": "b"}
    assert dict(os.environ) == before


def test_parent_that_the_program_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", OTHER)
    copied = {"TRACEPARENT": OTHER, "TRACESTATE": "a=b"}
    assert child_environment(copied, CONTEXT) == {"TRACEPARENT": GOOD}
    chosen = {"TRACEPARENT": f"00-{7:032x}-{8:016x}-01"}
    assert child_environment(chosen, CONTEXT) is chosen
    in_bytes = {b"TRACEPARENT": b""}
    assert child_environment(in_bytes, CONTEXT) is in_bytes


def test_baggage_of_the_program_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAGGAGE", "given=1")
    assert child_environment(None, CONTEXT)["BAGGAGE"] == "given=1"
    token = context.attach(baggage.set_baggage("user", "a b"))
    try:
        assert child_environment(None, CONTEXT)["BAGGAGE"] == "user=a%20b"
        assert child_environment({"BAGGAGE": "own=2"}, CONTEXT)["BAGGAGE"] == "own=2"
    finally:
        context.detach(token)


def test_propagators_without_tracecontext_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTEL_PROPAGATORS": "b3", "TRACEPARENT": GOOD}
    assert RemoteParent(environ)() is None
    monkeypatch.setenv("OTEL_PROPAGATORS", "none")
    given = {"A": "b"}
    assert child_environment(given, CONTEXT) is given


def test_process_object_forgets_the_parent_of_its_maker() -> None:
    process = SimpleNamespace(_config={"authkey": b"", "asyncscope.traceparent": OTHER})
    configure_child(process, None)
    assert process._config == {"authkey": b""}
    configure_child(process, CONTEXT)
    assert process._config == {"authkey": b"", "asyncscope.traceparent": GOOD}


@pytest.mark.parametrize(
    ("args", "executable", "shell", "expected"),
    [
        (["python", "-c", ""], None, False, True),
        (["/usr/bin/python3.12", "x.py"], None, False, True),
        (["name", "x.py"], "/usr/bin/python3", False, True),
        ("python x.py", None, True, True),
        (["python x.py"], None, True, True),
        (["ls"], None, False, False),
        ("ls python", None, True, False),
        ([], None, False, False),
        (b"python3", None, False, True),
        (None, None, False, False),
    ],
)
def test_only_python_is_told(args: Any, executable: Any, shell: bool, expected: bool) -> None:
    assert _is_python(args, executable, shell) is expected


def test_numbers_of_spans_never_collide() -> None:
    ids = SpanIds(5)
    numbers = {ids.of(kind, serial) for kind in range(4) for serial in range(5_000)}
    assert len(numbers) == 20_000
    assert SpanIds(5).of(0, 1) == ids.of(0, 1) != SpanIds().of(0, 1)
