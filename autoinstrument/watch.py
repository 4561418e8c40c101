"""The agent's own thread: ticks for detectors, the heartbeat of loops, and the sinks.

It is started with the first event loop, ended before a fork, and started again after it.
It is a bare thread, so that `threading.active_count()` stays the program's own; nothing in
it may call `threading.current_thread()`.
"""

import _thread
import time
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from autoinstrument import env
from autoinstrument.blocks import PERIOD_NS, BlockWatch
from autoinstrument.clocks import clock_is_fine, computed_ns
from autoinstrument.native import (
    acquire,
    allocate_lock,
    get_ident,
    start_new_thread,
    wait_until_gone,
)
from autoinstrument.records import LoopRecord
from autoinstrument.world import World

_PERIOD_S: Final = PERIOD_NS / 1e9
_SOON_S: Final = 0.005  # after a late look: compiled code leaves few moments to look at a block
_LATE_NS: Final = 30_000_000
_QUIET_NS: Final = 2_000_000_000  # nothing has run for so long: detectors are called less often
_SLOW_TICK_NS: Final = 225_000_000  # every fifth look
_DRAIN_S: Final = 0.9  # with a period on top, the last second is always outside
# A loop that turns busy is only looked at for so long: loading and writing give the lock away, and
# compiled code that holds it does not give it back before the next look is due.
_ONLY_LOOKS_NS: Final = 500_000_000
_monotonic = time.monotonic  # bound before a test suite mocks it


class Watch:
    """Runs the tick and looks whether loops are blocked, every 50 ms while a loop runs."""

    def __init__(self, world: World, failed: Callable[[str, BaseException], None]) -> None:
        """Prepare; no thread is started yet."""
        self._world = world
        self._failed = failed
        self._moments = world.moments
        self.blocks = BlockWatch(world, failed)
        self._calm_ns = 0  # when no loop was busy the last time
        self._wake = allocate_lock()
        self._done = allocate_lock()
        self._running = False
        self._stop = False
        self._slept_s = _PERIOD_S  # what was asked for the last time
        self._overslept_ns = 0
        self._computed_idle: dict[int, int] | None = None  # at the last look, if no loop was busy
        self._still_since_ns = 0
        self._ticked_ns = 0
        self._looked_ns = 0
        self._clock_is_fine = False
        self._jobs: deque[Callable[[], None]] = deque()
        self.ident = 0
        self._native_id = 0
        self.drains: dict[str, Callable[[], None]] = {}  # by name; called once a second

    def start(self) -> None:
        """Start the thread if it does not run; called in a loop's thread."""
        if self._running:
            return
        self._running = True
        self._stop = False
        acquire(self._wake, False)
        acquire(self._done, False)
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # no thread can be started any more, as at the interpreter's end
            self._running = False

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread and wait until it is gone."""
        if not self._running or self.ident == get_ident():
            return
        self._stop = True
        if self._wake.locked():
            self._wake.release()
        if acquire(self._done, True, timeout_s):
            self._running = False
            wait_until_gone(self._native_id)

    def ask(self, job: Callable[[], None]) -> bool:
        """Let the thread do a job at once; return False if it does not run."""
        if not self.ident or self._stop:
            return False
        self._jobs.append(job)
        if self._wake.locked():
            self._wake.release()
        return True

    def _do_jobs(self) -> None:
        while self._jobs:
            try:
                self._jobs.popleft()()
            except Exception as exc:
                self._failed("question to the watch thread", exc)

    def forget_thread(self) -> None:
        """In a forked child: the thread is not there, and its locks may be in any state."""
        self._running = False
        self.ident = 0
        self._jobs.clear()
        self.blocks.forget()
        self._wake = allocate_lock()
        self._done = allocate_lock()

    def _run(self) -> None:
        self.ident = get_ident()
        self._native_id = _thread.get_native_id()
        self._clock_is_fine = clock_is_fine()
        last_drain = _monotonic()
        try:
            while not self._woken_to_stop():
                self._do_jobs()
                self.blocks.look_back(self._overslept_ns)
                self._step()
                if self.drains and _monotonic() - last_drain >= _DRAIN_S:
                    last_drain = _monotonic()
                    self._drain()
        except Exception as exc:
            self._failed("watch thread", exc)
        finally:
            self.ident = 0
            self._done.release()

    def _drain(self) -> None:
        """Let everything out; what fails is off, and the rest goes on."""
        for name, drain in list(self.drains.items()):
            try:
                drain()
            except Exception as exc:
                del self.drains[name]
                self._failed(name, exc)

    def _woken_to_stop(self) -> bool:
        """Sleep for a period; return whether `stop` has ended the sleep."""
        before = monotonic_ns()
        self.blocks.fall_asleep()
        self._slept_s = _SOON_S if self._overslept_ns >= _LATE_NS else _PERIOD_S
        acquire(self._wake, True, self._slept_s)
        self._overslept_ns = monotonic_ns() - before - int(self._slept_s * 1e9)
        return self._stop

    def look_meanwhile(self) -> None:
        """Look at the loops in the middle of a drain, when a period has passed since the last look.

        Beside a busy loop a drain waits for the interpreter most of the time.
        """
        if monotonic_ns() - self._looked_ns >= _PERIOD_S * 1e9 and self.ident == get_ident():
            self._step()

    def _step(self) -> None:
        running = self._world.loops.running()
        computed = {record.key: computed_ns(record) for record in running}
        still = self._nothing_has_run(running, computed)
        now_ns = self._looked_ns = monotonic_ns()
        if still:
            self.blocks.tell_idle(running)
        else:
            self._still_since_ns = now_ns
            self._computed_idle = computed if self._all_wait(running) else None
        self._world.looks.calm = self.blocks.is_calm and not self.blocks.has_computed
        if self.blocks.is_calm:
            self._calm_ns = now_ns
        elif now_ns - self._calm_ns < _ONLY_LOOKS_NS:
            return
        if still and now_ns - self._ticked_ns < _SLOW_TICK_NS and self._can_wait(now_ns):
            return
        self._ticked_ns = now_ns
        self._world.looks.still = still
        self._moments.unfinished = False
        self._moments.fire("tick", monotonic_ns())

    def _all_wait(self, running: list[LoopRecord]) -> bool:
        at_once = self._slept_s != _PERIOD_S
        return not running or (
            env.is_only_interpreter() and not self.blocks.look_at(running, at_once=at_once)
        )

    def _nothing_has_run(self, running: list[LoopRecord], computed: dict[int, int]) -> bool:
        """Whether all loops waited at the last look, and none of their threads ran since.

        Then they wait for the same still, without another look at what they execute.
        """
        return (
            self._clock_is_fine
            and computed == self._computed_idle
            and all(record.cpu_clock for record in running)
        )

    def _can_wait(self, now_ns: int) -> bool:
        """Whether no detector waits for a time to come, or has more to look at."""
        world = self._world
        return (
            now_ns - self._still_since_ns >= _QUIET_NS
            and not self._moments.unfinished
            and not (world.tasks.cancelling or world.scopes.cancelling)
            and world.looks.is_done
        )
