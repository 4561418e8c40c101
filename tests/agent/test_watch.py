"""What the watch thread takes for a blocked loop when it could not run itself."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from autoinstrument import watch
from autoinstrument.config.schema import Settings
from autoinstrument.findings import FindingStore
from autoinstrument.records import LoopRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.world import World

MS = 1_000_000


class Night:
    """A watch thread that overslept, with clocks that a test sets.

    Another thread stands for that of the loop: it waits in code of this file.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loop: Any) -> None:
        self.moments = Moments(pytest.fail)
        self.world = World(Settings(), self.moments, FindingStore(frozenset()))
        self.watch = watch.Watch(self.world, lambda part, exc: pytest.fail(f"{part}: {exc}"))
        self.told: list[int] = []
        self.stacks: list[Any] = []
        self.moments.on("blocked", self.blocked)
        self.world.loops.loop_started(loop)
        self.record = self.world.loops.loop_of(loop)
        assert self.record is not None
        assert self.record.thread_id == threading.get_ident()
        self.record.cpu_clock = 7
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.busy)
        self.thread.start()
        self.record.thread_id = self.thread.ident or 0
        self.cpu = 0
        monkeypatch.setattr(watch, "_cpu_clock", lambda clock: {7: self.cpu}[clock])

    def blocked(self, loop: Any, stack: Any, took: int, task: Any) -> None:
        self.told.append(took // MS)
        self.stacks.append(stack)

    def busy(self) -> None:
        self.over.wait(60)

    def oversleep(self, late_ms: int, computed_ms: int) -> list[int]:
        assert self.record is not None
        self.watch._computed_before = {self.record.key: self.cpu}
        self.cpu += computed_ms * MS
        self.watch._overslept_ns = late_ms * MS
        self.watch._look_back()
        return self.told

    def late_looks(
        self,
        monkeypatch: pytest.MonkeyPatch,
        slept_s: tuple[float, ...],
        computed_ms: int,
        apart_ms: int,
    ) -> list[int]:
        """Look late after each of these sleeps, then let the loop answer the heartbeat."""
        now = 1_000 * MS
        monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
        for seconds in slept_s:
            self.watch._slept_s = seconds
            self.oversleep(late_ms=90, computed_ms=computed_ms)
            now += apart_ms * MS
            self.watch._step()
        return self.answered(now)

    def answered(self, now: int) -> list[int]:
        """Let the loop answer its heartbeat."""
        [beat] = self.watch._beats.values()
        beat.answered_ns, beat.used_ns = now, self.cpu
        self.watch._step()
        return self.told


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    loop = asyncio.new_event_loop()
    night = Night(monkeypatch, loop)
    yield night
    night.over.set()
    night.thread.join()
    loop.close()


def test_compiled_call_that_kept_the_lock_is_a_block(night: Night) -> None:
    assert night.oversleep(late_ms=400, computed_ms=450) == [400]


def test_compiled_call_on_a_busy_machine_is_a_block(night: Night) -> None:
    assert night.oversleep(late_ms=600, computed_ms=130) == [600]


def test_process_that_got_no_processor_is_no_block(night: Night) -> None:
    assert night.oversleep(late_ms=900, computed_ms=55) == []


def test_short_delay_is_no_block(night: Night) -> None:
    assert night.oversleep(late_ms=200, computed_ms=250) == []


def test_loop_that_ran_in_another_thread_is_not_blamed(night: Night) -> None:
    assert night.record is not None
    night.watch._computed_before = {}
    night.watch._overslept_ns = 900 * MS
    night.watch._look_back()
    assert night.told == []


def test_one_look_at_a_suspended_process_is_no_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.record is not None
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    night.watch._beats[night.record.key] = watch._Beat(now, (), None)
    now += 900 * MS  # suspended
    night.watch._step()
    assert night.answered(now) == []


def test_two_looks_at_the_same_call_are_a_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.record is not None
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    night.watch._beats[night.record.key] = watch._Beat(now, (), None)
    for _ in range(2):
        now += 150 * MS
        night.watch._step()
    assert night.answered(now) == [300]


def test_calls_that_leave_few_moments_to_look_are_one_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept_s = (0.05, 0.005, 0.005, 0.005)
    assert night.late_looks(monkeypatch, slept_s, computed_ms=70, apart_ms=100) == [275]


def test_last_call_is_evidence_where_no_look_was_in_between(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    night.watch._step()
    for computed_ms in (170, 90):
        now += computed_ms * MS
        night.cpu += computed_ms * MS
        if computed_ms == 170:
            night.watch._step()  # the heartbeat is sent
    assert night.answered(now) == [260]
    assert night.stacks[0][0][0].co_name == "wait"  # of threading.Condition


def test_time_without_processor_before_the_heartbeat_is_not_counted(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    night.watch._step()
    now += 900 * MS  # starved, then in the same function again
    night.cpu += 40 * MS
    night.watch._step()
    now += 90 * MS
    night.cpu += 90 * MS
    assert night.answered(now) == []


def test_loop_that_turns_busy_is_only_looked_at(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000 * MS
    ticks = []
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    monkeypatch.setattr(night.watch, "_slept_s", 0.05)
    night.moments.on("tick", lambda at: ticks.append((at - 1_000 * MS) // MS))
    night.watch._calm_ns = now
    for _ in range(14):
        now += 50 * MS
        night.watch._step()
    assert ticks == [500, 550, 600, 650, 700]
    night.over.set()
    night.thread.join()
    night.answered(now)
    night.watch._step()
    assert ticks[-1] == 700
    assert night.watch._calm_ns == now


def test_looks_that_follow_at_once_are_no_evidence(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.late_looks(monkeypatch, (0.005,) * 5, computed_ms=10, apart_ms=100) == []


def test_calls_of_a_process_without_processor_are_no_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.late_looks(monkeypatch, (0.05,) * 3, computed_ms=15, apart_ms=140) == []


def test_late_look_is_followed_by_an_early_one(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000 * MS
    sleeps = []

    def sleep(lock: Any, blocking: bool, seconds: float) -> None:
        nonlocal now
        sleeps.append(seconds)
        now += int(seconds * 1e9) + (80 * MS if len(sleeps) == 2 else 0)

    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    monkeypatch.setattr(watch, "acquire", sleep)
    for _ in range(4):
        night.watch._woken_to_stop()
    assert sleeps == [0.05, 0.05, 0.005, 0.05]


def test_what_this_package_does_is_not_the_programs_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "is_user_file", lambda name: False)
    monkeypatch.setattr(watch, "is_own_file", lambda name: name == __file__)
    assert night.oversleep(late_ms=400, computed_ms=450) == []


class Clock:
    """Steps of a watch thread on a clock of its own, in a process without loops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moments = Moments(pytest.fail)
        self.world = World(Settings(), self.moments, FindingStore(frozenset()))
        self.watch = watch.Watch(self.world, lambda part, exc: pytest.fail(f"{part}: {exc}"))
        self.watch._clock_is_fine = True
        self.ticks = 0
        self.now = 1_000 * MS
        self.moments.on("tick", self.count)
        monkeypatch.setattr(watch, "monotonic_ns", lambda: self.now)

    def count(self, now_ns: int) -> None:
        self.ticks += 1

    def ticks_in(self, seconds: int) -> int:
        before = self.ticks
        for _ in range(seconds * 20):
            self.now += 50 * MS
            self.watch._step()
        return self.ticks - before


def test_detectors_are_called_less_often_where_nothing_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    assert clock.ticks_in(2) == 40
    assert clock.ticks_in(10) == 40
    clock.watch._clock_is_fine = False  # short steps would not be seen
    assert clock.ticks_in(1) == 20


def test_detectors_are_called_at_each_look_while_a_loop_runs(
    monkeypatch: pytest.MonkeyPatch, night: Night
) -> None:
    clock = Clock(monkeypatch)
    clock.ticks_in(4)
    record = LoopRecord(clock)
    record.key, record.thread_id, record.cpu_clock, computed = 1, 1, 7, [0]
    clock.world.loops.live[1] = record
    monkeypatch.setattr(watch, "_cpu_clock", lambda clock: computed[0])
    clock.ticks_in(3)
    assert clock.ticks_in(1) in {4, 5}
    before = clock.ticks
    for _ in range(20):  # it is never seen at work
        computed[0] += 1_000
        clock.now += 50 * MS
        clock.watch._step()
    assert clock.ticks - before == 20


@pytest.mark.parametrize("what", ["cancelled task", "cancelled scope", "unread modules"])
def test_detectors_are_called_at_each_look_while_one_has_to_do(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clock = Clock(monkeypatch)
    clock.ticks_in(4)
    assert clock.ticks_in(1) <= 5
    if what == "cancelled task":
        clock.world.tasks.cancelling[1] = None  # type: ignore[assignment]  # any
    elif what == "cancelled scope":
        clock.world.scopes.cancelling[1] = None  # type: ignore[assignment]  # any
    else:

        def more(now_ns: int) -> None:
            clock.moments.unfinished = True

        clock.moments.on("tick", more)
        clock.ticks_in(1)
    assert clock.ticks_in(1) == 20


def test_thread_does_a_job_at_once_and_goes_on_after_a_failure() -> None:
    failed: list[str] = []
    world = World(Settings(), Moments(pytest.fail), FindingStore(frozenset()))
    thread = watch.Watch(world, lambda part, exc: failed.append(f"{part}: {exc}"))
    assert not thread.ask(lambda: None)  # it does not run
    thread.start()
    end = time.monotonic() + 30
    while not thread.ident and time.monotonic() < end:
        time.sleep(0.001)
    done = threading.Event()
    assert thread.ask(deque[None]().popleft)
    assert thread.ask(done.set)
    assert done.wait(30)
    thread.stop(30)
    assert not thread.ask(lambda: None)
    assert failed == ["question to the watch thread: pop from an empty deque"]


def test_loop_whose_thread_has_not_run_is_not_looked_at_and_one_that_has_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    record = LoopRecord(clock)
    record.key, record.thread_id, record.cpu_clock, computed = 1, 1, 7, [0]
    clock.world.loops.live[1] = record
    monkeypatch.setattr(watch, "_cpu_clock", lambda clock: computed[0])
    looks: list[int] = []
    busy = [False]

    def look(records: list[LoopRecord]) -> bool:
        looks.append(len(records))
        return busy[0]

    monkeypatch.setattr(clock.watch, "_look_at", look)
    told: list[bool] = []
    clock.watch.looked = lambda record, now_ns, *, idle: told.append(idle)
    for _ in range(3):
        clock.watch._step()
    assert (looks, told) == ([1], [True, True])
    busy[0] = True
    computed[0] += 1  # it ran, and blocks now: without computing, as in time.sleep()
    for _ in range(3):
        clock.watch._step()
    assert looks == [1, 1, 1, 1]
    busy[0] = False
    for _ in range(3):
        clock.watch._step()
    assert looks == [1, 1, 1, 1, 1]
