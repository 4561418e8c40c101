"""What the watch thread takes for a blocked loop when it could not run itself."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autoinstrument import watch
from autoinstrument.config.schema import Settings
from autoinstrument.findings import FindingStore
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
        self.moments.on("blocked", lambda loop, stack, took, task: self.told.append(took // MS))
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

    def busy(self) -> None:
        self.over.wait(60)

    def oversleep(self, late_ms: int, computed_ms: int) -> list[int]:
        assert self.record is not None
        self.watch._computed_before = {self.record.key: self.cpu}
        self.cpu += computed_ms * MS
        self.watch._overslept_ns = late_ms * MS
        self.watch._look_back()
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
    beat = watch._Beat(now)
    night.watch._beats[night.record.key] = beat
    now += 900 * MS  # suspended
    night.watch._step()
    beat.answered_ns = now
    night.watch._step()
    assert night.told == []


def test_two_looks_at_the_same_call_are_a_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.record is not None
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    beat = watch._Beat(now)
    night.watch._beats[night.record.key] = beat
    for _ in range(2):
        now += 150 * MS
        night.watch._step()
    beat.answered_ns = now
    night.watch._step()
    assert night.told == [300]


def test_calls_that_leave_few_moments_to_look_are_one_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.record is not None
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    for call in range(3):
        night.watch._slept_s = 0.05 if call == 0 else 0.005
        night.oversleep(late_ms=90, computed_ms=130)
        now += 100 * MS
        night.watch._step()
    [beat] = night.watch._beats.values()
    beat.answered_ns = now
    night.watch._step()
    assert night.told == [290]


def test_calls_of_a_process_without_processor_are_no_block(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.record is not None
    now = 1_000 * MS
    monkeypatch.setattr(watch, "monotonic_ns", lambda: now)
    for _ in range(3):
        night.oversleep(late_ms=90, computed_ms=60)
        now += 140 * MS
        night.watch._step()
    [beat] = night.watch._beats.values()
    beat.answered_ns = now
    night.watch._step()
    assert night.told == []


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
