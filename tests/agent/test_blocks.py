"""What is taken for a blocked loop, and what is not, on clocks that the tests set."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autoinstrument import blocks, clocks
from autoinstrument.config.schema import Settings
from autoinstrument.findings import FindingStore
from autoinstrument.records import LoopRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.world import World

MS = 1_000_000


class Stage:
    """A loop that is looked at, and the time that passes.

    Another thread stands for that of the loop: it waits in code of this file. What it has to call
    next is what a test puts in its queue.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loop: asyncio.BaseEventLoop) -> None:
        self.loop: Any = loop
        self.running: Any = None
        moments = Moments(pytest.fail)
        world = World(Settings(), moments, FindingStore(frozenset()))
        self.watch = blocks.BlockWatch(world, lambda part, exc: pytest.fail(f"{part}: {exc}"))
        self.told: list[int] = []
        self.stacks: list[Any] = []
        moments.on("blocked", self.blocked)
        world.loops.loop_started(loop)
        [self.record] = world.loops.running()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.busy)
        self.thread.start()
        self.record.thread_id = self.thread.ident or 0
        self.record.native_id, self.record.cpu_clock = -7, 7
        self.now, self.computed, self.starved, self.waits = 1_000 * MS, 0, 0, 0
        monkeypatch.setattr(clocks, "_cpu_clock", lambda clock: {7: self.computed}[clock])
        monkeypatch.setattr(blocks, "starved_ns", lambda native_id: {-7: self.starved}[native_id])
        monkeypatch.setattr(blocks, "waits_of_this_thread", lambda: self.waits)
        monkeypatch.setattr(blocks, "monotonic_ns", lambda: self.now)

    def blocked(self, loop: LoopRecord, stack: Any, took: int, task: Any) -> None:
        self.told.append(took // MS)
        self.stacks.append(stack)

    def busy(self) -> None:
        self.over.wait(60)

    def oversleep(self, late_ms: int, *, computed: int, waits: int = 100) -> list[int]:
        """Sleep for so much too long, and look back."""
        self.watch.fall_asleep()
        self.computed += computed * MS
        self.waits += waits
        self.watch.look_back(late_ms * MS)
        return self.told

    def look(
        self, *, after: int = 0, computed: int = 0, starved: int = 0, at_once: bool = False
    ) -> None:
        """Look, this many milliseconds later."""
        self.elapse(after, computed, starved)
        self.watch.look_at([self.record], at_once=at_once)

    def elapse(self, wall: int, computed: int = 0, starved: int = 0) -> None:
        self.now += wall * MS
        self.computed += computed * MS
        self.starved += starved * MS

    def next_turn(self) -> None:
        """Let the loop take the next callback from its queue, and hold it as it does."""
        self.running = self.loop._ready.popleft()

    def period(self, *, computed: int = 0, starved: int = 0) -> None:
        """Sleep for 50 milliseconds, look back and look."""
        self.watch.fall_asleep()
        self.elapse(50, computed, starved)
        self.watch.look_back(0)
        self.watch.look_at([self.record])

    def answered(self) -> list[int]:
        """Let the loop answer its heartbeat, and return how long it was found to be blocked."""
        [beat] = self.watch._beats.values()
        beat.answered_ns, beat.used_ns = self.now, self.computed
        self.watch.look_at([self.record])
        return self.told


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    loop = asyncio.SelectorEventLoop()
    stage = Stage(monkeypatch, loop)
    yield stage
    stage.over.set()
    stage.thread.join()
    loop.close()


# -- what keeps the agent's thread from looking --------------------------------------------------


def test_compiled_call_that_kept_the_lock_is_a_block(stage: Stage) -> None:
    assert stage.oversleep(late_ms=400, computed=450) == [400]


def test_compiled_call_on_a_busy_machine_is_a_block(stage: Stage) -> None:
    assert stage.oversleep(late_ms=600, computed=130) == [600]


def test_process_that_got_no_processor_is_no_block(stage: Stage) -> None:
    assert stage.oversleep(late_ms=900, computed=55) == []


def test_compiled_call_after_the_answer_of_a_heartbeat_is_a_block(stage: Stage) -> None:
    stage.look()
    stage.look(after=50, computed=50)
    [beat] = stage.watch._beats.values()
    beat.answered_ns, beat.used_ns = stage.now, stage.computed
    assert stage.oversleep(late_ms=400, computed=450) == [400]


def test_thread_that_did_not_wait_for_the_lock_saw_no_block(stage: Stage) -> None:
    assert stage.oversleep(late_ms=600, computed=300, waits=20) == []
    assert stage.oversleep(late_ms=600, computed=300, waits=40) == [400]


def test_short_delay_is_no_block(stage: Stage) -> None:
    assert stage.oversleep(late_ms=200, computed=250) == []


def test_loop_that_ran_in_another_thread_is_not_blamed(stage: Stage) -> None:
    stage.watch.look_back(900 * MS)
    assert stage.told == []


@pytest.mark.parametrize(("computed", "is_busy"), [(30, True), (2, False)])
def test_loop_that_computes_is_busy_wherever_it_is_found(
    stage: Stage, computed: int, is_busy: bool
) -> None:
    stage.watch.fall_asleep()
    stage.elapse(50, computed=computed)
    stage.watch.look_back(0)
    assert stage.watch.has_computed is is_busy


def test_what_this_package_does_is_not_the_programs_block(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "is_user_file", lambda name: False)
    monkeypatch.setattr(blocks, "is_own_file", lambda name: name == __file__)
    assert stage.oversleep(late_ms=400, computed=450) == []


# -- what looks show -----------------------------------------------------------------------------


def test_call_that_waits_is_a_block(stage: Stage) -> None:
    for after in (0, 50, 50, 50, 50, 50):
        stage.look(after=after)
    stage.elapse(20)
    assert stage.answered() == [270]


def test_thread_that_computes_is_not_asked_what_hinders_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "starved_ns", lambda native_id: pytest.fail("it was"))
    stage.look()
    for _ in range(6):
        stage.period(computed=45)
    assert stage.answered() == [300]


def test_turn_that_waits_after_it_has_computed_is_a_block_if_it_waits_long(stage: Stage) -> None:
    stage.look()
    for computed in (15, 15, 0, 0, 0, 0, 0):
        stage.period(computed=computed)
    assert stage.answered() == [350]


def test_what_has_hindered_it_while_it_computed_is_not_counted(stage: Stage) -> None:
    stage.look()
    for computed, starved in ((13, 37), (13, 37), (0, 0), (0, 0), (0, 0), (0, 0)):
        stage.period(computed=computed, starved=starved)
    assert stage.answered() == []


def test_one_look_at_a_suspended_process_is_no_block(stage: Stage) -> None:
    stage.look()
    stage.look(after=50)
    stage.look(after=900)
    assert stage.answered() == []


def test_process_without_processor_is_not_blocked(stage: Stage) -> None:
    stage.look()
    for _ in range(5):
        stage.look(after=90, computed=2, starved=88)
    assert stage.answered() == []


def test_lock_that_the_agents_thread_kept_without_processor_is_no_block(stage: Stage) -> None:
    stage.look()
    for _ in range(5):
        stage.watch.fall_asleep()
        stage.elapse(10)
        stage.watch.look_back(0)
        stage.look(after=80, computed=2)
    assert stage.answered() == []


def test_calls_that_leave_few_moments_to_look_are_one_block(stage: Stage) -> None:
    stage.look()
    for _ in range(3):
        stage.look(after=100, computed=70, at_once=True)
    assert stage.answered() == [275]


def test_looks_that_follow_at_once_are_no_evidence(stage: Stage) -> None:
    stage.look()
    for _ in range(4):
        stage.look(after=100, computed=5, at_once=True)
    assert stage.answered() == []


def test_last_call_is_evidence_where_no_look_was_in_between(stage: Stage) -> None:
    stage.look()
    stage.look(after=170, computed=170)
    stage.elapse(90, computed=90)
    assert stage.answered() == [260]
    assert stage.stacks[0][0][0].co_name == "wait"  # of threading.Condition


def test_time_without_processor_before_the_heartbeat_is_not_counted(stage: Stage) -> None:
    stage.look()
    stage.look(after=900, computed=40)  # starved, then in the same function again
    stage.elapse(90, computed=90)
    assert stage.answered() == []


def test_function_of_ours_that_has_just_been_called_took_no_time() -> None:
    class Frame:
        f_code, f_lasti, f_back = blocks.BlockWatch.judge.__code__, 2, sys._getframe()

    assert not blocks._is_ours(Frame)
    Frame.f_lasti = 40
    assert blocks._is_ours(Frame)


def test_what_this_package_does_in_between_is_taken_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.look()
    stage.look(after=50, computed=50)
    with monkeypatch.context() as ours:
        ours.setattr(blocks, "is_user_file", lambda name: False)
        ours.setattr(blocks, "is_own_file", lambda name: name == __file__)
        for _ in range(6):
            stage.look(after=50, computed=50)
    stage.elapse(205, computed=205)
    assert stage.answered() == [255]


def test_heartbeat_sent_while_this_package_works_counts_from_then_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.look()
    with monkeypatch.context() as ours:
        ours.setattr(blocks, "is_user_file", lambda name: False)
        ours.setattr(blocks, "is_own_file", lambda name: name == __file__)
        stage.look(after=240, computed=240)
    stage.elapse(205, computed=205)
    assert stage.answered() == []


# -- many short turns ----------------------------------------------------------------------------


def test_many_turns_before_the_answer_are_no_block(stage: Stage) -> None:
    for _ in range(8):
        stage.loop.call_soon(print)
    stage.look()
    stage.look(after=50, computed=50)
    for _ in range(8):
        stage.next_turn()
        stage.look(after=50, computed=50)
    stage.elapse(20, computed=20)
    assert stage.answered() == []


def test_turn_that_begins_after_the_heartbeat_is_a_block(stage: Stage) -> None:
    stage.loop.call_soon(print)
    stage.look()
    stage.look(after=50, computed=50)
    stage.next_turn()
    for _ in range(6):
        stage.look(after=50, computed=50)
    stage.elapse(20, computed=20)
    assert stage.answered() == [270]


def test_what_follows_a_turn_is_not_counted(stage: Stage) -> None:
    stage.loop.call_soon(print)
    stage.look()
    for _ in range(4):
        stage.look(after=50, computed=50)
    stage.elapse(300, computed=300)  # of the other
    assert stage.answered() == []


def test_turn_is_a_block_also_when_others_follow(stage: Stage) -> None:
    stage.loop.call_soon(print)
    stage.look()
    for _ in range(6):
        stage.look(after=50, computed=50)
    stage.next_turn()
    stage.look(after=50, computed=50)
    assert stage.told == [300]
    assert stage.answered() == [300]


def test_turn_that_was_over_before_the_heartbeat_is_not_counted(stage: Stage) -> None:
    stage.loop.call_soon(print)
    stage.look()
    stage.next_turn()
    stage.look(after=240, computed=240)
    stage.look(after=50, computed=50)
    stage.elapse(50, computed=50)
    assert stage.answered() == []


def test_turn_that_ends_while_the_heartbeat_is_sent_is_not_counted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = stage.loop.call_soon_threadsafe

    def send_late(beat: Any) -> Any:
        stage.next_turn()
        return send(beat)

    monkeypatch.setattr(stage.loop, "call_soon_threadsafe", send_late)
    stage.loop.call_soon(print)
    stage.look()
    stage.look(after=240, computed=240)
    stage.elapse(50, computed=50)
    assert stage.answered() == []
