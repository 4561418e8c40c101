"""Spans that are encoded without an object are those that would be made."""

import random
from functools import partial
from typing import Any

import pytest

from autoinstrument.export import otlp
from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.ids import SpanIds
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.trace_settings import make_traces
from autoinstrument.findings import Finding
from tests.export.play import CANCELLED, FAILED, Play, finding


def work(**more: Any) -> Batch:
    """Return spans of all sorts; those whose names begin with `plain_` have nothing to tell."""
    play = Play()
    task = partial(play.task, qualname="work")
    task("plain_main", 0, 100)
    for number in range(10):
        task(f"plain_{number}", number, 50, by="plain_main", qualname="child")
    task('plain quote \\ " and control \x01', 1, 2, by="plain_3")
    task("plain_alone", 5, 4)  # ends before it begins: clocks
    task("surrogate \udc80 ä", 1, 2, by="plain_3")
    task("outlives", 1, 200, by="plain_main")
    task("failed", 1, 3, by="plain_main", outcome=FAILED, error="ValueError")
    task("cancelled", 1, 3, by="plain_main", outcome=CANCELLED)
    task("unseen", 1, 3, by="plain_main", exact=False)
    task("nested", 1, 3, program=(5, 6, 1))
    deepest = "plain_main"
    for number in range(120):  # deeper than one trace may be
        task(f"plain_deep_{number}", number, 400 - number, by=deepest)
        deepest = f"plain_deep_{number}"
    scopes = [
        play.scope("plain_outer", "plain_main", 1, 90),
        play.scope("plain_inner", "plain_main", 2, 80),
        play.scope("expired", "plain_main", 3, 70),
        play.scope("shield", "plain_main", 4, 60),
        play.scope("elsewhere", "plain_main", 5, 50),
    ]
    scopes[2].expired_ns = 6
    scopes[3].shield = True
    scopes[4].irregularly_by = 2
    return play.batch(scopes=scopes, **more)


def exported(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *, to_json: bool
) -> tuple[list[str], int]:
    """Return the encoded spans, sorted, and how many came encoded."""
    settings = ExportSettings()
    traces = make_traces(settings, {}, pytest.fail)
    traces.ids = SpanIds(7)
    monkeypatch.setattr(traces, "_numbers", random.Random(7))
    pipeline = Pipeline(settings, traces, to_json=to_json)
    pipeline.clock.offset_ns = 1_700_000_000_000_000_000
    spans, _ = pipeline.run(work(findings=findings))
    encoded = [span if isinstance(span, str) else otlp.span(span) for span in spans]
    return sorted(encoded), sum(isinstance(span, str) for span in spans)


@pytest.mark.parametrize("findings", [[], [finding("plain_3")]], ids=["plain", "with a finding"])
def test_same_text_by_both_ways(monkeypatch: pytest.MonkeyPatch, findings: list[Finding]) -> None:
    straight, encoded = exported(monkeypatch, findings, to_json=True)
    made, none = exported(monkeypatch, findings, to_json=False)
    assert straight == made
    assert none == 0
    # Without the first task and the one where the depth of a trace ends, which link to what they
    # created, nor the one of which the clock went back, but with the one that outlives its creator,
    # and two scopes. While there are findings,
    # tasks are looked at one by one.
    assert encoded == 10 + 1 + 119 + 1 + 2 if not findings else 2 < encoded < 133


def test_full_trace_goes_on_in_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("plain", "spans", "traces"):
        monkeypatch.setattr(f"autoinstrument.export.{module}.MOST_SPANS", 5)
    straight, encoded = exported(monkeypatch, [], to_json=True)
    made, _ = exported(monkeypatch, [], to_json=False)
    assert straight == made
    assert encoded > 100
