"""How late and how busy loops are."""

import asyncio
import time
from typing import Any

from autoinstrument.export.pulse import Pulse
from autoinstrument.records import LoopRecord

SECOND = 1_000_000_000


class Loop:
    """Calls back when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon_threadsafe(self, function: Any) -> None:
        self.calls.append(function)


def record_of(loop: Any) -> LoopRecord:
    record = LoopRecord(loop)
    record.serial = 1
    return record


def watched(loop: Loop, *looks: bool, computed: list[int] | None = None) -> Pulse:
    """Look at a loop at even distances over one second."""
    pulse = Pulse(lambda _: computed.pop(0) if computed else 0)
    for number, idle in enumerate(looks):
        pulse.look(record_of(loop), number * SECOND // (len(looks) - 1), idle=idle)
    return pulse


def test_idle_loop_is_left_alone_and_is_never_late() -> None:
    loop = Loop()
    pulse = watched(loop, *[True] * 21)
    assert loop.calls == []
    assert pulse.take([record_of(loop)]) == ([0], {1: 0.0})


def test_loop_that_is_seen_at_work_is_asked_how_late_it_is() -> None:
    loop = Loop()
    pulse = watched(loop, *[True] * 15, *[False] * 5)
    assert pulse.take([record_of(loop)]) == ([], {1: 0.25})
    (answer,) = loop.calls
    answer()
    (delay,) = pulse.take([record_of(loop)])[0]
    assert delay > 0


def test_thread_that_computes_in_short_steps_is_busy() -> None:
    loop = Loop()
    pulse = watched(loop, True, True, computed=[0, SECOND * 3 // 4])
    assert pulse.take([record_of(loop)])[1] == {1: 0.75}
    assert len(loop.calls) == 1


def test_loop_that_stopped_is_forgotten() -> None:
    pulse = watched(Loop(), True, True)
    assert pulse.take([]) == ([0], {})


def test_real_loop_that_blocks_is_late() -> None:
    """The callback runs behind what is due before it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        record = record_of(loop)
        pulse.look(record, 0, idle=False)
        loop.call_soon(time.sleep, 0.05)
        pulse.look(record, SECOND, idle=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    pulse = Pulse(lambda _: 0)
    asyncio.run(main())
    (delay,) = pulse.take([])[0]
    assert delay >= 50_000_000
