"""Parts of spans that are kept are those of their own tasks, however alike the tasks are."""

import itertools
from typing import Any

import pytest

from autoinstrument.export.batch import ExportSettings
from autoinstrument.export.pipeline import Pipeline
from autoinstrument.export.statics import Statics
from autoinstrument.export.trace_settings import make_traces
from autoinstrument.records import CANCELLED, ENDED, RETURNED, TaskRecord
from tests.export.play import Play, flat, function, ran

LIBRARY = function("spawn", "/env/lib/python3/site-packages/lib/pool.py", 7)


def alike() -> dict[str, tuple[TaskRecord, int]]:
    """Return tasks with their threads; each differs from the first one in a single fact."""
    play, code, user = Play(), function("work"), flat("handler", 20)
    stack = (LIBRARY, 3, *user)

    def task(name: str, thread_id: int = 1, **facts: Any) -> tuple[TaskRecord, int]:
        record = play.task(name, 1, 2, qualname="work")
        record.code, record.flat_stack = code, stack
        for slot, value in facts.items():
            setattr(record, slot, value)
        return record, thread_id

    return {
        "first": task("first"),
        "name": task("name", qualname="Pool.work"),
        "outcome": task("outcome", outcome=CANCELLED),
        "thread": task("thread", thread_id=2),
        "code": task("code", code=function("work", line=30)),
        "outer place": task("outer place", flat_stack=(LIBRARY, 3, *flat("handler", 44))),
    }


def test_tasks_that_differ_in_one_fact_share_no_part() -> None:
    tasks = alike()
    wanted = {name: Statics().of_task(*task) for name, task in tasks.items()}
    told = {name: (part.name, part.attributes) for name, part in wanted.items()}
    assert len({(name, frozenset(facts)) for name, facts in told.values()}) == len(tasks)
    for one, other in itertools.permutations(tasks, 2):
        statics = Statics()
        for name in (one, other, one, one, other):
            part = statics.of_task(*tasks[name])
            assert (part.name, part.attributes) == told[name], (one, other)


def test_tasks_that_are_alike_share_their_part() -> None:
    statics = Statics()
    (record, thread_id), (other, _) = alike()["first"], alike()["name"]
    part = statics.of_task(record, thread_id)
    assert statics.of_task(record, thread_id) is part
    assert statics.of_task(other, thread_id) is not part
    assert statics.of_task(record, thread_id) is part


def test_end_that_nobody_saw_is_an_upper_bound_for_a_plain_task_too() -> None:
    play = Play()
    for name, outcome in (("seen", RETURNED), ("gone", ENDED)):
        record = play.task(name, 1, 2, outcome=outcome)
        record.story = None
    made = Pipeline(ExportSettings(), make_traces(ExportSettings(), {}, pytest.fail))
    spans = ran(made, play.batch())
    told = {
        span.static.name: "asyncscope.end.upper_bound" in dict(span.attributes) for span in spans
    }
    assert told == {"seen": False, "gone": True}
