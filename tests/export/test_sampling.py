"""The head sampler against the official one, and the budget on whole traces."""

import random
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import sampling as official
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from autoinstrument.export import slices
from autoinstrument.export.batch import SPARE, Batch, ExportSettings
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.sampling import Budget, head_sampler
from autoinstrument.export.trace_settings import make_traces
from tests.export.play import FAILED, Play, finding, ran
from tests.export.test_golden import export


@pytest.mark.parametrize("name", sorted(official._KNOWN_SAMPLERS))
@pytest.mark.parametrize("parent", [None, 0, 1])
def test_decides_like_the_official_sampler(
    monkeypatch: pytest.MonkeyPatch, name: str, parent: int | None
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.3"}
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    theirs = official._get_from_env_or_default()
    ours = head_sampler(environ, pytest.fail)
    numbers = random.Random(7)
    kept = 0
    for _ in range(500):
        trace_id = numbers.getrandbits(128)
        context = None
        if parent is not None:
            span = SpanContext(trace_id, 5, is_remote=True, trace_flags=TraceFlags(parent))
            context = set_span_in_context(NonRecordingSpan(span))
        decision = theirs.should_sample(context, trace_id, "x").decision
        wanted = decision is official.Decision.RECORD_AND_SAMPLE
        assert ours.keeps(trace_id, parent) == wanted
        kept += wanted
    if name == "traceidratio":
        assert 100 < kept < 200


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "many"},
    ],
    ids=["name", "range", "number"],
)
def test_wrong_value_is_one_line_and_everything_is_kept(environ: dict[str, str]) -> None:
    said: list[str] = []
    assert head_sampler(environ, said.append).keeps(1 << 127, None)
    (line,) = said
    assert "using" in line


def test_budget_refills_and_pays_debts() -> None:
    budget = Budget(100, 0)
    budget.spend(250)
    assert not budget.open
    budget.refill(400_000_000)
    assert not budget.open
    budget.refill(600_000_000)
    assert budget.open


def test_sampled_out_traces_vanish_whole(tmp_path: Path) -> None:
    play = Play()
    for number in range(60):
        play.task(f"r{number}", number, 90)
        play.task(f"c{number}", number, 80, by=f"r{number}")
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    spans = export(tmp_path, play.batch(), environ=environ)
    assert 0 < len(spans) < 120
    roots = {span.trace_id for span in spans if not span.parent_span_id}
    children = {span.trace_id for span in spans if span.parent_span_id}
    assert roots == children


def pipeline(budget: int) -> Pipeline:
    settings = ExportSettings(span_budget=budget)
    return Pipeline(settings, make_traces(settings, {}, pytest.fail))


def test_budget_drops_whole_traces_and_keeps_what_matters() -> None:
    play = Play()
    for number in range(100):
        play.task(f"r{number}", number, 900)
        play.task(f"c{number}", number, 800, by=f"r{number}")
    play.task("bad", 200, 900)
    play.task("worse", 201, 800, by="bad", outcome=FAILED, error="ValueError")
    play.task("found", 202, 900)
    play.task("slow", 203, 1900)
    made = pipeline(10)
    spans = ran(made, play.batch(findings=[finding("found")]))
    names = {span.static.name for span in spans}
    assert {"bad", "worse", "found", "slow"} <= names
    assert {name[1:] for name in names if name[0] == "r"} == {
        name[1:] for name in names if name[0] == "c"
    }
    assert 4 <= len(spans) <= 24
    assert made.dropped["budget"] == 204 - len(spans)


def test_dropped_trace_that_fails_later_is_kept_from_then_on() -> None:
    play = Play()
    play.task("big", 0, 900)
    play.task("root", 1)
    play.task("early", 2, 10, by="root")
    play.task("late", 3, by="root")
    made = pipeline(1)
    first = ran(made, play.batch("big"))
    made._budget.spend(10)
    second = ran(made, play.batch("early"))
    play.tasks["late"].ended_ns, play.tasks["late"].outcome = 900, FAILED
    play.tasks["late"].told().error_type = "ValueError"
    third = ran(made, play.batch("late"))
    names = [[span.static.name for span in spans] for spans in (first, second, third)]
    assert names == [["big"], [], ["late"]]
    assert third[0].trace.late
    assert made.dropped == {"budget": 1, "sampler": 0}


def test_unfinished_work_is_within_the_same_rules() -> None:
    play = Play()
    play.task("open", 1)
    made = pipeline(10)
    spans = ran(made, Batch(), Batch(tasks=[play.tasks["open"]]))
    assert [span.static.name for span in spans] == ["open"]


def test_storm_is_cut_before_tasks_are_placed() -> None:
    play = Play()
    for number in range(1000):
        play.task(f"r{number}", number, 1010)
    play.task("cause", 1, 901)
    play.task("bad", 1, 900, by="cause", outcome=FAILED, error="ValueError")
    play.tasks["cause"] = play.tasks.pop("cause")  # it ends later
    made = pipeline(1)
    spans = ran(made, play.batch())
    assert {"bad", "cause"} < {span.static.name for span in spans}
    assert made.dropped["budget"] == 1002 - len(spans)
    assert play.tasks["r900"].trace is None


def test_storm_of_scopes_and_waits_of_one_task_is_cut() -> None:
    play = Play()
    play.task("main", 0, 5_000)
    scopes = [play.scope("asyncio.timeout", "main", n, n + 2) for n in range(700)]
    scopes[650].expired_ns = scopes[650].left_ns
    waits = [play.wait("main", n, n + 5) for n in range(600)]
    waits[590].how = "broken off"
    made = pipeline(10)
    spans = ran(made, play.batch(scopes=scopes, waits=waits))
    most = 20 + SPARE
    names = Counter(span.static.name for span in spans)
    assert names == {"main": 1, "asyncio.timeout": most + 1, "lock wait": most + 1}
    expired = [dict(span.attributes) for span in spans if span.static.name == "asyncio.timeout"][-1]
    assert expired["asyncscope.scope.expired"] is True
    assert made.dropped["budget"] == 700 + 600 - 2 * (most + 1)


class Slow:
    """A clock that moves with each look at it."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self._step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self._step_s
        return self.now_s


@pytest.mark.parametrize(("step_s", "wanted"), [(0.004, 9), (0.0011, 3), (0.0, 0)])
def test_interpreter_is_offered_every_few_milliseconds_of_work(
    monkeypatch: pytest.MonkeyPatch, step_s: float, wanted: int
) -> None:
    offers: list[float] = []
    called: list[int] = []
    clock = Slow(step_s)
    monkeypatch.setattr(slices, "sleep", offers.append)
    monkeypatch.setattr(slices, "monotonic", clock)
    slices._slices.offered_s = clock.now_s
    with slices.giving_way(lambda: called.append(len(offers))):
        assert list(slices.in_slices(range(600))) == list(range(600))
    assert offers == [0] * wanted
    assert called == list(range(1, wanted + 1))
    slices._slices.offered_s = 0.0
    slices.give_way()
    assert (len(offers), len(called)) == (wanted + 1, wanted)
