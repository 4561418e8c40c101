"""Whole trees of records made by hand: names, parents, links, attributes, status."""

import json
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.export.batch import Batch, BlockedPeriod, ExportSettings
from autoinstrument.export.exporters import make_exporters
from tests.export.play import CANCELLED, FAILED, MS, Play, finding, place
from tests.export.receiver import attributes_of, decode_json, tree

QUIET = {"OTEL_METRICS_EXPORTER": "none"}


def export(
    path: Path,
    *batches: Batch,
    unfinished: Batch | None = None,
    environ: dict[str, str] | None = None,
    **settings: Any,
) -> list[Any]:
    """Drain all batches into a file, finish, and read the file as a Collector would."""
    lines: list[str] = []
    chosen = ExportSettings(exporters=("file",), file=str(path / "t.jsonl"), **settings)
    (exporter,) = make_exporters(chosen, QUIET | (environ or {}), lines.append)
    for batch in batches:
        exporter.drain(batch)
    exporter.finish(Batch(), unfinished or Batch(), 2.0)
    assert lines == []
    file = path / "t.jsonl"
    text = file.read_text() if file.exists() else ""
    messages: list[Any] = [decode_json("traces", line) for line in text.splitlines()]
    return [
        span
        for message in messages
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def logs(path: Path) -> list[Any]:
    text = (path / "t.logs.jsonl").read_text()
    messages: list[Any] = [decode_json("logs", line) for line in text.splitlines()]
    return [
        log
        for m in messages
        for g in m.resource_logs
        for s in g.scope_logs
        for log in s.log_records
    ]


def named(spans: list[Any], name: str) -> Any:
    (found,) = [span for span in spans if span.name == name]
    return found


def links(spans: list[Any], name: str) -> list[tuple[str, str]]:
    """Return (kind, name of the span that a link points to)."""
    names = {(span.trace_id, span.span_id): span.name for span in spans}
    return [
        (attributes_of(link.attributes)["asyncscope.link.kind"], names[link.trace_id, link.span_id])
        for link in named(spans, name).links
    ]


def test_children_hang_below_their_creators(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 100)
    play.task("a", 1, 50, by="main")
    play.task("b", 2, 60, by="main")
    play.task("c", 3, 40, by="a")
    spans = export(tmp_path, play.batch())
    assert tree(spans) == [("main", [("a", [("c", [])]), ("b", [])])]
    assert len({span.trace_id for span in spans}) == 1


def test_order_of_batches_does_not_matter(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0)
    play.task("a", 1, by="main")
    play.task("c", 3, 40, by="a")
    first = play.batch()
    play.tasks["a"].ended_ns, play.tasks["a"].outcome = 50 * MS, "returned"
    second = play.batch("a")
    play.tasks["main"].ended_ns, play.tasks["main"].outcome = 60 * MS, "returned"
    spans = export(tmp_path, first, second, play.batch("main"))
    assert tree(spans) == [("main", [("a", [("c", [])])])]


def test_task_outliving_its_creator_is_linked_both_ways(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 100)
    play.task("handler", 1, 20, by="main")
    play.task("background", 2, 90, by="handler")
    play.task("below", 3, 80, by="background")
    spans = export(tmp_path, play.batch())
    assert tree(spans) == [("background", [("below", [])]), ("main", [("handler", [])])]
    assert links(spans, "background") == [("created_by", "handler")]
    assert links(spans, "handler") == [("created", "background")]
    assert links(spans, "main") == []


def test_outliving_task_seen_while_it_still_runs_is_linked_both_ways(tmp_path: Path) -> None:
    play = Play()
    play.task("handler", 1, 20)
    play.task("background", 2, by="handler")
    first = play.batch("handler")
    play.tasks["background"].ended_ns = 90 * MS
    play.tasks["background"].outcome = "returned"
    spans = export(tmp_path, first, play.batch("background"))
    assert tree(spans) == [("background", []), ("handler", [])]
    assert links(spans, "background") == [("created_by", "handler")]
    assert links(spans, "handler") == [("created", "background")]


def test_task_placed_before_it_outlived_becomes_a_root_in_the_same_trace(tmp_path: Path) -> None:
    play = Play()
    play.task("handler", 1)
    play.task("background", 2, by="handler")
    play.task("below", 3, 10, by="background")
    first = play.batch("below")
    play.tasks["handler"].ended_ns, play.tasks["handler"].outcome = 20 * MS, "returned"
    second = play.batch("handler")
    play.tasks["background"].ended_ns = 90 * MS
    play.tasks["background"].outcome = "returned"
    spans = export(tmp_path, first, second, play.batch("background"))
    assert tree(spans) == [("background", [("below", [])]), ("handler", [])]
    assert links(spans, "background") == [("created_by", "handler")]


def test_end_that_is_an_upper_bound_is_no_proof_of_outliving(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 20)
    play.task("a", 1, 21, by="main", exact=False)
    spans = export(tmp_path, play.batch())
    assert tree(spans) == [("main", [("a", [])])]
    assert attributes_of(named(spans, "a").attributes)["asyncscope.end.upper_bound"] is True


def test_housekeeping_of_loops_is_left_out_unless_it_fails(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 20)
    play.task("a", 21, 22, qualname="BaseEventLoop.shutdown_asyncgens")
    play.task("b", 23, 24, qualname="BaseEventLoop.shutdown_default_executor", outcome=FAILED)
    spans = export(tmp_path, play.batch())
    assert tree(spans) == [("BaseEventLoop.shutdown_default_executor", []), ("main", [])]


def test_all_attributes_of_a_task(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 100)
    play.task("worker_7", 5, 50, by="main", qualname="Pool.worker")
    span = named(export(tmp_path, play.batch()), "Pool.worker")
    assert attributes_of(span.attributes) == {
        "asyncscope.kind": "task",
        "asyncscope.task.id": 2,
        "asyncscope.task.name": "worker_7",
        "asyncscope.task.outcome": "returned",
        "asyncscope.task.created_at": "/srv/app.py:20",
        "code.function.name": "Pool.worker",
        "code.file.path": "/srv/app.py",
        "code.line.number": 10,
    }
    assert (span.kind, span.status.code, span.flags) == (1, 0, 0x101)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 45 * MS


def test_thread_of_a_task_is_told_where_it_is_known(tmp_path: Path) -> None:
    play = Play()
    for number, created in enumerate((5, 15, 25, 35)):
        play.task(f"t{number}", created, 50, qualname=f"t{number}")
        play.tasks[f"t{number}"].loop_id = 7
    play.task("other", 20, 50)
    batch = play.batch()
    batch.threads = {7: (4711, 10 * MS, 30 * MS)}
    spans = export(tmp_path, batch)
    found = {span.name: attributes_of(span.attributes).get("thread.id") for span in spans}
    assert found == {"t0": None, "t1": 4711, "t2": 4711, "t3": None, "other": None}


@pytest.fixture(name="play")
def fixture_play() -> Play:
    play = Play()
    play.task("main", 0, 100)
    return play


def test_failed_task_is_an_error(tmp_path: Path, play: Play) -> None:
    play.task("a", 1, 9, by="main", outcome=FAILED, error="ValueError")
    span = named(export(tmp_path, play.batch()), "a")
    assert (span.status.code, span.status.message) == (2, "ValueError")
    found = attributes_of(span.attributes)
    assert found["error.type"] == "ValueError"
    assert found["asyncscope.task.raised_at"] == "/srv/app.py:30"


def test_cancelled_task_is_no_error_and_names_the_origin(tmp_path: Path, play: Play) -> None:
    play.task("a", 1, 9, by="main", outcome=CANCELLED)
    play.cancelled_by("a", "main", 8)
    span = named(export(tmp_path, play.batch()), "a")
    found = attributes_of(span.attributes)
    assert span.status.code == 0
    assert "error.type" not in found
    assert found["asyncscope.task.outcome"] == "cancelled"
    assert found["asyncscope.cancel.via"] == "task.cancel"
    assert found["asyncscope.cancel.by_task"] == "main"
    assert found["asyncscope.cancel.requested_at"] == "/srv/app.py:70"


def test_scopes_nest_within_their_task(tmp_path: Path, play: Play) -> None:
    outer = play.scope("asyncio.TaskGroup", "main", 5, 80)
    inner = play.scope("asyncio.timeout", "main", 10, 70)
    later = play.scope("cancel_scope", "main", 85, 90)
    inner.expired_ns = 60 * MS
    spans = export(tmp_path, play.batch(scopes=[inner, outer, later]))
    nested: Any = ("asyncio.TaskGroup", [("asyncio.timeout", [])])
    assert tree(spans) == [("main", [nested, ("cancel_scope", [])])]
    found = attributes_of(named(spans, "asyncio.timeout").attributes)
    assert found["asyncscope.scope.expired"] is True
    assert found["code.line.number"] == 40


def test_scope_left_before_the_one_around_it_is_drained(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0)
    outer = play.scope("asyncio.TaskGroup", "main", 5)
    inner = play.scope("asyncio.timeout", "main", 10, 70)
    first = play.batch(scopes=[inner])
    open_work = Batch(tasks=[play.tasks["main"]], scopes=[outer])
    spans = export(tmp_path, first, unfinished=open_work)
    assert tree(spans) == [("main", [("asyncio.TaskGroup", [("asyncio.timeout", [])])])]


def test_waits_generators_and_blocked_periods(tmp_path: Path, play: Play) -> None:
    batch = play.batch(
        waits=[
            play.wait("main", 10, 30),
            play.wait("main", 30, 30),
            play.wait("main", 30, 60, op="get"),
        ],
        generators=[play.generator("rows", "main", 20, "collector")],
        blocked=[BlockedPeriod(1, 40 * MS, 80 * MS, place("main", 33), 1)],
    )
    spans = export(tmp_path, batch)
    assert tree(spans) == [("main", [("lock wait", []), ("loop blocked", []), ("rows", [])])]
    wait = attributes_of(named(spans, "lock wait").attributes)
    assert wait["asyncscope.lock.kind"] == "asyncio.Lock"
    assert wait["code.line.number"] == 50
    blocked = attributes_of(named(spans, "loop blocked").attributes)
    assert blocked["code.line.number"] == 33
    rows = attributes_of(named(spans, "rows").attributes)
    assert rows["asyncscope.generator.finalized_by"] == "collector"


def test_contended_hold_is_shown_from_a_millisecond_on(tmp_path: Path, play: Play) -> None:
    batch = play.batch(holds=[play.hold("main", 10, 30, 2), play.hold("main", 40, 40)])
    span = named(export(tmp_path, batch), "lock hold")
    assert attributes_of(span.attributes) == {
        "asyncscope.kind": "hold",
        "asyncscope.lock.id": 1,
        "asyncscope.lock.kind": "asyncio.Lock",
        "asyncscope.lock.waiters": 2,
        "asyncscope.task.id": 1,
        "code.function.name": "main",
        "code.file.path": "/srv/app.py",
        "code.line.number": 80,
    }
    assert span.end_time_unix_nano - span.start_time_unix_nano == 20 * MS


def test_session_hangs_below_the_task_that_opened_it(tmp_path: Path, play: Play) -> None:
    play.task("client", 5, 50, by="main")
    dropped = play.session("claude_agent_sdk", "main", 60, 70)
    dropped.end_is_exact = False
    sessions = [play.session("mcp", "client", 10, 40), dropped, play.session("sdk", "", 1, 2)]
    spans = export(tmp_path, play.batch(sessions=sessions))
    below: Any = [("claude_agent_sdk session", []), ("client", [("mcp session", [])])]
    assert tree(spans) == [("main", below), ("sdk session", [])]
    span = named(spans, "mcp session")
    assert attributes_of(span.attributes) == {
        "asyncscope.kind": "session",
        "asyncscope.session.id": 1,
        "asyncscope.session.name": "mcp.Client",
        "asyncscope.task.id": 2,
        "code.function.name": "client",
        "code.file.path": "/srv/app.py",
        "code.line.number": 90,
    }
    assert span.end_time_unix_nano - span.start_time_unix_nano == 30 * MS
    found = attributes_of(named(spans, "claude_agent_sdk session").attributes)
    assert found["asyncscope.end.upper_bound"] is True


def test_open_work_is_exported_as_unfinished(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0)
    play.task("a", 5, 9, by="main")
    open_work = Batch(
        tasks=[play.tasks["main"]],
        scopes=[play.scope("asyncio.timeout", "main", 5)],
        waits=[play.wait("main", 6, op="get")],
        holds=[play.hold("main", 7)],
        sessions=[play.session("mcp", "main", 8)],
    )
    spans = export(tmp_path, play.batch(), unfinished=open_work)
    below = ["a", "asyncio.timeout", "get wait", "lock hold", "mcp session"]
    assert tree(spans) == [("main", [(name, []) for name in below])]
    marked = {s.name for s in spans if attributes_of(s.attributes).get("asyncscope.unfinished")}
    assert marked == {"main", *below} - {"a"}
    assert attributes_of(named(spans, "main").attributes)["asyncscope.task.outcome"] == "running"
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)


def test_program_span_is_the_parent(tmp_path: Path) -> None:
    play = Play()
    play.task("request", 1, 50, program=(0xABC, 0xDEF, 1))
    play.task("below", 2, 40, by="request")
    spans = export(tmp_path, play.batch())
    request = named(spans, "request")
    assert int.from_bytes(request.trace_id, "big") == 0xABC
    assert int.from_bytes(request.parent_span_id, "big") == 0xDEF
    assert tree(spans) == [("request", [("below", [])])]


def test_unsampled_program_span_leaves_its_tasks_out(tmp_path: Path) -> None:
    play = Play()
    play.task("request", 1, 50, program=(0xABC, 0xDEF, 0))
    play.task("below", 2, 40, by="request")
    play.task("other", 3, 40)
    assert tree(export(tmp_path, play.batch())) == [("other", [])]


def test_process_below_another_one(tmp_path: Path, play: Play) -> None:
    environ = {"TRACEPARENT": f"00-{0xFACE:032x}-{0xF00D:016x}-01"}
    span = named(export(tmp_path, play.batch(), environ=environ), "main")
    assert int.from_bytes(span.trace_id, "big") == 0xFACE
    assert int.from_bytes(span.parent_span_id, "big") == 0xF00D
    assert span.flags == 0x301


def test_deep_chain_is_cut_into_linked_traces(tmp_path: Path) -> None:
    play = Play()
    play.task("t0", 0, 1000)
    for number in range(1, 250):
        play.task(f"t{number}", number, 999 - number, by=f"t{number - 1}")
    spans = export(tmp_path, play.batch())
    assert len(spans) == 250
    assert len({span.trace_id for span in spans}) == 3
    assert links(spans, "t100") == [("continues", "t99")]
    assert links(spans, "t99") == [("continued_by", "t100")]


def test_wide_trace_is_cut(tmp_path: Path) -> None:
    play = Play()
    play.task("main", 0, 5000)
    for number in range(2100):
        play.task(f"t{number}", 1, 50, by="main", qualname="child")
    spans = export(tmp_path, play.batch(), span_budget=10_000)
    sizes: dict[bytes, int] = {}
    for span in spans:
        sizes[span.trace_id] = sizes.get(span.trace_id, 0) + 1
    assert len(spans) == 2101
    assert max(sizes.values()) == 2000


def test_finding_is_a_span_event_and_a_log_record_of_the_task(tmp_path: Path, play: Play) -> None:
    play.task("a", 1, 9, by="main")
    spans = export(tmp_path, play.batch(findings=[finding("a")]))
    span = named(spans, "a")
    (event,) = span.events
    (record,) = logs(tmp_path)
    assert event.name == record.event_name == "asyncscope.blocking_call"
    assert event.time_unix_nano == record.time_unix_nano == 1_500_000_000
    assert attributes_of(event.attributes) == attributes_of(record.attributes)
    assert attributes_of(record.attributes)["code.line.number"] == 12
    assert record.body.string_value == "Task a did it."
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.severity_number == 17


def test_task_open_for_long_is_announced_once(tmp_path: Path) -> None:
    play = Play()
    play.task("hung", 1)
    play.tasks["hung"].created_ns = 1
    batch = play.batch()
    spans = export(tmp_path, batch, batch, unfinished=Batch(tasks=[*batch.live]), long_open_s=2.0)
    (record,) = logs(tmp_path)
    assert record.event_name == "asyncscope.task.long_open"
    assert record.span_id == named(spans, "hung").span_id


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("na\u00efve", "na\u00efve"),
        ("a\ud800b", "a\ufffdb"),
        ('quo"te', 'quo"te'),
        ("\x00\x1f", "\x00\x1f"),
        ("\U0001d4b3", "\U0001d4b3"),
    ],
    ids=["latin", "lone surrogate", "quote", "control", "astral"],
)
def test_any_task_name_survives(tmp_path: Path, name: str, wanted: str) -> None:
    play = Play()
    play.task("main", 0, 5)
    play.tasks["main"].last_name = name
    span = named(export(tmp_path, play.batch()), "main")
    assert attributes_of(span.attributes)["asyncscope.task.name"] == wanted


def test_each_line_of_the_file_is_one_request(tmp_path: Path, play: Play) -> None:
    export(tmp_path, play.batch())
    for line in (tmp_path / "t.jsonl").read_text().splitlines():
        (group,) = json.loads(line)["resourceSpans"]
        assert group["resource"]["attributes"]


NAMES = ["fetch", 'say "no"', "back\\slash", "\u00e9t\u00e9", "tab\tin", "\ud800", "\U0001f600"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_plain_tasks_are_encoded_as_the_others_are(tmp_path: Path, name: str) -> None:
    play = Play()
    play.task("plain", 1, 2).last_name = name
    play.task("other", 1, 2, exact=False).last_name = name
    spans = export(tmp_path, play.batch())
    plain, other = named(spans, "plain"), named(spans, "other")
    facts, more = attributes_of(plain.attributes), attributes_of(other.attributes)
    assert facts["asyncscope.task.name"] == name.replace("\ud800", "\ufffd")
    assert more.pop("asyncscope.end.upper_bound") is True
    assert list(facts) == list(more)
    assert (plain.flags, plain.kind) == (other.flags, other.kind)
    assert (plain.start_time_unix_nano, plain.end_time_unix_nano) == (
        other.start_time_unix_nano,
        other.end_time_unix_nano,
    )
