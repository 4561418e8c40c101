"""Scripts of facts about generators, loops and moments."""

import gc
import sys
import threading
from collections import deque
from typing import Any

import pytest

from autoinstrument.trackers.moments import MOMENTS, Moments
from tests.trackers.conftest import Stage, Thing


async def numbers() -> Any:
    yield 1
    yield 2


async def others() -> Any:
    yield 1


class Pause:
    def __await__(self) -> Any:
        yield


async def slow() -> Any:
    await Pause()
    yield 1


def started(function: Any = numbers) -> Any:
    """Return a generator that is suspended in its first `yield`."""
    generator = function()
    with pytest.raises(StopIteration):
        generator.asend(None).send(None)
    return generator


def close(generator: Any) -> None:
    with pytest.raises(StopIteration):
        generator.aclose().send(None)


def test_generator_is_recorded_with_its_owner(stage: Stage) -> None:
    stage.begin("owner")
    generator = started()
    stage.generators.generator_started(generator, None)
    record: Any = stage.generators.record_of(generator)
    assert (record.qualname, record.owner_name, record.owner_serial) == ("numbers", "owner", 1)
    assert stage.generators.by_frame(generator.ag_frame) is record
    assert stage.generators.by_code(numbers.__code__) is record
    close(generator)


def test_dropped_generator_is_told_once(stage: Stage) -> None:
    generator = started()
    stage.generators.generator_started(generator, None)
    stage.generators.generator_dropped(generator, "collected")
    stage.generators.generator_dropped(generator, "loop shutdown")
    assert stage.moments_told() == ["generator_dropped"]
    assert stage.generators.statistics()["abandoned"] == 1
    close(generator)


def dropped(stage: Stage, how: str = "collected", frame: Any = None, made: Any = started) -> None:
    generator = made()
    stage.generators.generator_started(generator, frame)
    if how == "collected":
        stage.generators.generator_collected(generator)
    else:
        stage.generators.generator_dropped(generator, how)
    close(generator)


def two_lines() -> Any:
    yield sys._getframe()
    yield


def test_generators_collected_after_one_like_them_are_counted_and_told_together(
    stage: Stage,
) -> None:
    owner, line = stage.begin("owner"), two_lines()
    frame = next(line)
    for _ in range(4):
        dropped(stage, frame=frame)
    assert stage.moments_told() == ["generator_dropped"]
    assert stage.generators.statistics()["abandoned"] == 4
    stage.generators.tell_again()
    moment, (record, times) = stage.told.pop()
    assert (moment, record.owner(), times) == ("generator_dropped_again", owner, 3)
    stage.generators.tell_again()
    assert stage.moments_told() == []
    assert stage.generators.statistics()["abandoned"] == 4


def test_generator_collected_after_another_one_is_told_by_itself(stage: Stage) -> None:
    stage.begin("owner")
    line, other_line = two_lines(), two_lines()
    frame, elsewhere = next(line), next(other_line)
    next(other_line)
    for _ in range(2):
        dropped(stage, frame=frame)
    dropped(stage, frame=elsewhere)
    dropped(stage, frame=elsewhere, made=lambda: started(others))
    stage.begin("other")
    dropped(stage, frame=elsewhere, made=lambda: started(others))
    dropped(stage, "loop shutdown", frame=elsewhere, made=lambda: started(others))
    dropped(stage)  # nobody knows where
    dropped(stage)
    assert stage.moments_told() == [
        "generator_dropped",
        "generator_dropped_again",
        *(["generator_dropped"] * 6),
    ]
    assert stage.generators.statistics()["abandoned"] == 8


def test_exporters_get_each_generator_that_was_collected(stage: Stage) -> None:
    stage.begin("owner")
    line = two_lines()
    frame = next(line)
    dropped(stage, frame=frame)
    stage.generators.outbox = deque()
    dropped(stage, frame=frame)
    dropped(stage, frame=frame)
    assert (stage.moments_told(), len(stage.generators.outbox)) == (["generator_dropped"] * 3, 2)


def test_exhausted_and_unknown_generators_are_not_dropped(stage: Stage) -> None:
    generator, unknown = started(), started()
    stage.generators.generator_started(generator, None)
    close(generator)
    stage.generators.generator_dropped(generator, "loop shutdown")
    stage.generators.generator_dropped(unknown, "collected")
    assert stage.moments_told() == []
    close(unknown)


def test_generator_whose_task_is_over_is_left_when_its_loop_is_gone(stage: Stage) -> None:
    loop, other = Thing(), Thing()
    stage.begin("owner")
    generator, elsewhere = started(), started()
    stage.generators.generator_started(generator, None)
    stage.generators.generator_started(elsewhere, None)
    owner: Any = stage.generators.live[0].owner
    owner.loop_id = id(loop)
    stage.generators.loop_gone(loop)
    assert stage.moments_told() == []  # its task may still close it
    stage.generators.live[1].owner = None
    owner.ended_ns = 5
    stage.generators.loop_gone(other)
    assert stage.moments_told() == []
    stage.generators.loop_gone(loop)
    assert [facts[2] for _, facts in stage.told] == ["loop gone"]
    close(generator)
    close(elsewhere)


def test_generator_that_died_is_counted_and_forgotten(stage: Stage) -> None:
    generator = started()
    stage.generators.generator_started(generator, None)
    close(generator)
    del generator
    gc.collect()
    assert stage.generators.live == []
    assert stage.generators.statistics() == {
        "started": 1,
        "ended": 1,
        "open": 0,
        "abandoned": 0,
    }


def test_generators_of_the_past_are_bounded(stage: Stage) -> None:
    generators = [numbers() for _ in range(600)]
    for generator in generators:
        stage.generators.generator_started(generator, None)
    assert len(stage.generators.live) == 600
    generators = [generators[7], *(numbers() for _ in range(599))]  # all but one died
    for generator in generators[1:]:
        stage.generators.generator_started(generator, None)
        stage.generators.generator_started(numbers(), None)  # dies at once
    assert len(stage.generators.live) == 600
    assert len(stage.generators.entries) <= 1_200
    record: Any = stage.generators.record_of(generators[0])
    assert record.serial == 8
    assert stage.generators.statistics() == {
        "started": 1_798,
        "ended": 1_198,
        "open": 600,
        "abandoned": 0,
    }


def test_another_generator_at_the_same_address_has_its_own_record(stage: Stage) -> None:
    first = started()
    stage.generators.generator_started(first, None)
    address = id(first)
    close(first)
    del first
    second = next(made for made in (started() for _ in range(1_000)) if id(made) == address)
    assert stage.generators.record_of(second) is None
    stage.generators.generator_started(second, None)
    record: Any = stage.generators.record_of(second)
    assert record.serial == 2
    close(second)


def test_call_by_another_task_or_while_somebody_is_inside_is_no_matter_of_course(
    stage: Stage,
) -> None:
    owner = stage.begin("owner")
    generator = started()
    assert not stage.generators.is_at_home(generator)  # nobody has seen it begin
    stage.generators.generator_started(generator, None)
    assert stage.generators.is_at_home(generator)
    stage.begin("other")
    assert not stage.generators.is_at_home(generator)
    stage.running = owner
    assert stage.generators.is_at_home(generator)
    close(generator)
    busy = slow()
    stage.generators.generator_started(busy, None)
    step = busy.asend(None)
    step.send(None)
    assert not stage.generators.is_at_home(busy)
    step.close()


def test_session_is_known_with_its_task_and_place_from_opening_to_close(stage: Stage) -> None:
    stage.begin("owner")
    number = stage.sessions.opened("mcp.ClientSession", sys._getframe(), "mcp")
    record = stage.sessions.open[number]
    assert record.owner is not None
    assert (record.owner.name, record.kind, record.closed_ns) == ("owner", "mcp", 0)
    assert record.stack[0][0].co_qualname == (
        "test_session_is_known_with_its_task_and_place_from_opening_to_close"
    )
    stage.now_ns = 5_000
    assert stage.sessions.closed(number) == 4_000
    assert stage.sessions.statistics() == {"opened": 1, "open": 0}


def test_closed_sessions_are_handed_to_exporters(stage: Stage) -> None:
    stage.sessions.closed(stage.sessions.opened("unasked for"))
    stage.sessions.outbox = deque()
    stage.sessions.closed(stage.sessions.opened("by hand"))
    stage.sessions.closed(stage.sessions.opened("dropped"), exact=False)
    found = [(s.name, s.kind, s.owner, s.end_is_exact) for s in stage.sessions.outbox]
    assert found == [("by hand", "sdk", None, True), ("dropped", "sdk", None, False)]


def test_loop_is_known_from_its_first_run_to_its_close(stage: Stage) -> None:
    loop = Thing()
    runs = []
    stage.loops.first_run = lambda: runs.append(1)
    stage.loops.loop_started(loop)
    (record,) = stage.loops.running()
    assert (record.thread_id, record.runs, record.serial) == (threading.get_ident(), 1, 1)
    stage.loops.loop_stopped(loop)
    assert stage.loops.running() == []
    stage.told.clear()
    stage.loops.loop_closing(loop)
    stage.loops.loop_closing(loop)
    assert stage.moments_told() == ["loop_closing"]
    assert len(runs) == 1
    assert stage.loops.statistics()["closed"] == 1


def test_loop_of_this_thread_alone_is_dropped_with_the_process(stage: Stage) -> None:
    here, stopped, elsewhere = Thing(), Thing(), Thing()
    for loop in (here, stopped):
        stage.loops.loop_started(loop)
    stage.loops.loop_stopped(stopped)
    thread = threading.Thread(target=stage.loops.loop_started, args=(elsewhere,))
    thread.start()
    thread.join()
    stage.loops.live[id(elsewhere)].thread_id = threading.get_ident() + 1
    stage.told.clear()
    stage.loops.loop_dropped()
    assert stage.told == [("loop_ending", (here,)), ("loop_dropped", (here,))]


def test_loop_that_dies_is_forgotten_but_counted(stage: Stage) -> None:
    loop = Thing()
    stage.loops.loop_started(loop)
    del loop
    gc.collect()
    assert stage.loops.live == {}
    assert stage.loops.statistics()["seen"] == 1


def test_loop_without_weak_references_is_left_alone(stage: Stage) -> None:
    class Slotted:
        __slots__ = ()

    loop = Slotted()
    stage.loops.loop_started(loop)
    stage.loops.loop_closing(loop)
    stage.loops.loop_stopped(loop)
    assert stage.loops.statistics()["seen"] == 0


def test_errors_of_a_loop_are_counted_and_told(stage: Stage) -> None:
    loop = Thing()
    stage.loops.loop_error(loop, {"message": "m"})
    assert stage.told[-1] == ("loop_error", ({"message": "m"},))
    assert stage.loops.statistics()["errors"] == 1


def test_other_loops_are_told_of_when_there_may_be_some(stage: Stage) -> None:
    stage.loops.loop_made()
    stage.loops.loop_of(Thing())
    assert stage.moments_told() == []
    stage.loops.loop_made()
    assert stage.moments_told() == ["throws_count"]


def test_loop_that_was_not_seen_being_made_is_one_of_several_perhaps(stage: Stage) -> None:
    stage.loops.loop_of(Thing())
    assert stage.moments_told() == ["throws_count"]


# -- moments -------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", MOMENTS)
def test_checks_hear_the_facts_of_their_moment_alone(moment: str) -> None:
    moments, heard = Moments(print), []
    moments.on(moment, lambda *facts: heard.append(facts))
    for other in MOMENTS:
        moments.fire(other, 1, other)
    assert heard == [(1, moment)]


def test_failing_check_is_taken_out_and_the_others_go_on() -> None:
    said: list[str] = []
    heard: list[int] = []
    moments = Moments(said.append)

    def broken(_: int) -> None:
        raise ZeroDivisionError("bad")

    moments.on("tick", broken)
    moments.on("tick", heard.append)
    moments.on("exit", broken)
    for now in range(3):
        moments.fire("tick", now)
    assert heard == [0, 1, 2]
    assert len(said) == 1
    assert said[0].startswith("test_others failed (ZeroDivisionError: bad at test_others.py:")
    assert said[0].endswith(") and is switched off; the program is not affected")


def test_base_exceptions_pass_through_checks() -> None:
    moments = Moments(print)

    def interrupted() -> None:
        raise KeyboardInterrupt

    moments.on("exit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        moments.fire("exit")


def test_each_part_fails_once_in_words() -> None:
    said: list[str] = []
    moments = Moments(said.append)
    for part in ("one", "two", "one"):
        moments.failed(part, ValueError("x"))
    assert [line.split(" ")[0] for line in said] == ["one", "two"]
