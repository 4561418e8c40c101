"""When the agent's thread looks at loops, and when it calls detectors."""

import threading
import time
from collections import deque
from typing import Any

import pytest

from autoinstrument import clocks, watch
from autoinstrument.config.schema import Settings
from autoinstrument.findings import FindingStore
from autoinstrument.records import LoopRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.world import World

MS = 1_000_000


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    clock.ticks_in(4)
    record = LoopRecord(clock)
    record.key, record.thread_id, record.cpu_clock, computed = 1, 1, 7, [0]
    clock.world.loops.live[1] = record
    monkeypatch.setattr(clocks, "_cpu_clock", lambda clock: computed[0])
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


def test_long_drain_looks_at_loops_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    step, looks = clock.watch._step, list[int]()

    def look() -> None:
        looks.append(clock.now // MS)
        step()

    monkeypatch.setattr(clock.watch, "_step", look)
    clock.watch._step()
    clock.watch.ident = threading.get_ident()
    for _ in range(20):
        clock.now += 12 * MS
        clock.watch.look_meanwhile()
    assert looks == [1_000, 1_060, 1_120, 1_180, 1_240]
    clock.watch.ident = 0  # at exit the program's thread drains
    clock.now += 100 * MS
    clock.watch.look_meanwhile()
    assert len(looks) == 5


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
    monkeypatch.setattr(clocks, "_cpu_clock", lambda clock: computed[0])
    looks: list[int] = []
    busy = [False]

    def look(records: list[LoopRecord], *, at_once: bool) -> bool:
        looks.append(len(records))
        return busy[0]

    monkeypatch.setattr(clock.watch.blocks, "look_at", look)
    told: list[bool] = []
    clock.watch.blocks.looked = lambda record, now_ns, *, idle: told.append(idle)
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


def test_late_look_is_followed_by_an_early_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    sleeps = []

    def sleep(lock: Any, blocking: bool, seconds: float) -> None:
        sleeps.append(seconds)
        clock.now += int(seconds * 1e9) + (80 * MS if len(sleeps) == 2 else 0)

    monkeypatch.setattr(watch, "acquire", sleep)
    for _ in range(4):
        clock.watch._woken_to_stop()
    assert sleeps == [0.05, 0.05, 0.005, 0.05]


def test_loop_that_turns_busy_is_only_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.watch._clock_is_fine = False
    assert clock.ticks_in(1) == 20
    clock.watch.blocks._last_busy[1] = ((1, 0, 0), clock.now, 0)
    assert clock.ticks_in(1) == 11
    clock.watch.blocks._last_busy.clear()
    assert clock.ticks_in(1) == 20
