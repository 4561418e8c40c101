"""The agent's own thread: ticks for detectors, the heartbeat of loops, and the sinks.

It is started with the first event loop, ended before a fork, and started again after it.
It is a bare thread, so that `threading.active_count()` stays the program's own; nothing in
it may call `threading.current_thread()`.
"""

import _thread
import asyncio
import asyncio.runners
import sys
import time
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable
from time import monotonic_ns, process_time_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from autoinstrument import env
from autoinstrument.native import (
    acquire,
    allocate_lock,
    get_ident,
    start_new_thread,
    wait_until_gone,
)
from autoinstrument.places import capture, is_own_file, is_user_file
from autoinstrument.records import LoopRecord, RawStack, TaskRecord
from autoinstrument.world import World

if TYPE_CHECKING:  # making one takes long
    from typing import Protocol

    class Looked(Protocol):
        """Told about each look at a loop."""

        def __call__(self, record: LoopRecord, now_ns: int, *, idle: bool) -> None:
            """The loop waits for events, or does not."""


_PERIOD_S: Final = 0.05
_PERIOD_NS: Final = 50_000_000
_SOON_S: Final = 0.005  # after a late look: compiled code leaves few moments to look at a block
_LATE_NS: Final = 30_000_000
_QUIET_NS: Final = 2_000_000_000  # nothing has run for so long: detectors are called less often
_SLOW_TICK_NS: Final = 225_000_000  # every fifth look
_DRAIN_S: Final = 0.9  # with a period on top, the last second is always outside
# A thread that runs Python code gives the lock away within 5 ms when another asks for it; one that
# computed this long meanwhile was inside one compiled call.
_KEPT_THE_LOCK_NS: Final = 40_000_000
_FEWEST_LOOKS: Final = 2
# A loop that turns busy is only looked at for so long: loading and writing give the lock away, and
# compiled code that holds it does not give it back before the next look is due.
_ONLY_LOOKS_NS: Final = 500_000_000
# bound before a test suite mocks them, or a detector of blocking calls takes us for the program
_monotonic = time.monotonic
_cpu_clock: Final[Any] = getattr(time, "clock_gettime_ns", None)
_RUN_ONCE: Final[Any] = vars(BaseEventLoop)["_run_once"]
_LOOP_FILES: Final = frozenset(
    {asyncio.base_events.__file__, asyncio.events.__file__, asyncio.runners.__file__}
)


class _Beat:
    """One heartbeat sent into a loop that looks busy."""

    __slots__ = (
        "answered_ns",
        "computed_ns",
        "is_early",
        "looks",
        "since_ns",
        "stack",
        "task",
        "used_ns",
    )

    def __init__(self, since_ns: int, stack: RawStack, task: TaskRecord | None) -> None:
        self.since_ns = since_ns
        self.computed_ns = 0  # how long the loop's thread had computed when it was sent
        self.used_ns = 0  # and when it was answered
        self.answered_ns = 0
        self.looks = 0
        self.is_early = True  # the stack was read when it was sent, not in the midst of the block
        self.stack = stack
        self.task = task

    def __call__(self) -> None:
        self.answered_ns = monotonic_ns()
        self.used_ns = thread_time_ns()


class Watch:
    """Runs the tick and looks whether loops are blocked, every 50 ms while a loop runs."""

    def __init__(self, world: World, failed: Callable[[str, BaseException], None]) -> None:
        """Prepare; no thread is started yet."""
        self._world = world
        self._failed = failed
        self._moments = world.moments
        self._block_ns = world.settings.block_ms * 1_000_000
        self._beats: dict[int, _Beat] = {}
        self._last_busy: dict[int, tuple[int, int, int]] = {}  # root, when, how much computed
        self._calm_ns = 0  # when no loop was busy the last time
        self._wake = allocate_lock()
        self._done = allocate_lock()
        self._running = False
        self._stop = False
        self._slept_s = _PERIOD_S  # what was asked for the last time
        self._overslept_ns = 0
        self._computed_ns = 0
        self._computed_before: dict[int, int] = {}
        self._computed_idle: dict[int, int] | None = None  # at the last look, if no loop was busy
        self._still_since_ns = 0
        self._ticked_ns = 0
        self._clock_is_fine = False
        self._jobs: deque[Callable[[], None]] = deque()
        self.ident = 0
        self._native_id = 0
        self.looked: Looked | None = None
        self.drains: dict[str, Callable[[], None]] = {}  # by name; called once a second
        world.moments.on("loop_stopped", self.judge)

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
        self._beats.clear()
        self._last_busy.clear()
        self._wake = allocate_lock()
        self._done = allocate_lock()

    def _run(self) -> None:
        self.ident = get_ident()
        self._native_id = _thread.get_native_id()
        self._clock_is_fine = _clock_is_fine()
        last_drain = _monotonic()
        try:
            while not self._woken_to_stop():
                self._do_jobs()
                self._look_back()
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
        before, cpu = monotonic_ns(), process_time_ns()
        for record in self._world.loops.running():
            self._computed_before[record.key] = computed_ns(record)
        self._slept_s = _SOON_S if self._overslept_ns >= _LATE_NS else _PERIOD_S
        acquire(self._wake, True, self._slept_s)
        self._overslept_ns = monotonic_ns() - before - int(self._slept_s * 1e9)
        self._computed_ns = process_time_ns() - cpu
        return self._stop

    def _look_back(self) -> None:
        """Report a block that kept this thread from running too: compiled code with the lock.

        The interpreter hands over right after the compiled call, so that the loop's thread
        still stands in the line that made it. A process that got no processor is no block.
        """
        before, self._computed_before = self._computed_before, {}
        late = self._overslept_ns
        if late < self._block_ns or not env.is_only_interpreter():
            return
        running = self._world.loops.running()
        for record in running:
            if record.key not in before:
                continue
            if record.cpu_clock:
                computed = computed_ns(record) - before[record.key]
                kept = computed - _PERIOD_NS >= _KEPT_THE_LOCK_NS  # after a short sleep too
            else:  # threads cannot be told apart
                kept = len(running) == 1 and self._computed_ns >= max(late * 3 // 4, _PERIOD_NS)
            if kept:
                self._report_block_of(record, late)

    def _report_block_of(self, record: LoopRecord, took: int) -> None:
        frame = sys._current_frames().get(record.thread_id)
        beat = self._beats.get(record.key)
        if frame is None or _is_waiting(frame) or _is_ours(frame):
            return
        if beat is not None and (record.cpu_clock or not beat.is_early):
            return  # its answer will tell
        self._blocked(record, capture(frame, 40), took, self._task_on(record))

    def _step(self) -> None:
        running = self._world.loops.running()
        computed = {record.key: computed_ns(record) for record in running}
        still = self._nothing_has_run(running, computed)
        now_ns = monotonic_ns()
        if still:
            self._tell_idle(running)
        else:
            self._still_since_ns = now_ns
            all_wait = not running or (env.is_only_interpreter() and not self._look_at(running))
            self._computed_idle = computed if all_wait else None
        if not self._last_busy and not self._beats:
            self._calm_ns = now_ns
        elif now_ns - self._calm_ns < _ONLY_LOOKS_NS:
            return
        if still and now_ns - self._ticked_ns < _SLOW_TICK_NS and self._can_wait(now_ns):
            return
        self._ticked_ns = now_ns
        self._world.looks.still = still
        self._moments.unfinished = False
        self._moments.fire("tick", monotonic_ns())

    def _nothing_has_run(self, running: list[LoopRecord], computed: dict[int, int]) -> bool:
        """Whether all loops waited at the last look, and none of their threads ran since.

        Then they wait for the same still, without another look at what they execute.
        """
        return (
            self._clock_is_fine
            and computed == self._computed_idle
            and all(record.cpu_clock for record in running)
        )

    def _tell_idle(self, running: list[LoopRecord]) -> None:
        if self.looked is not None:
            now_ns = monotonic_ns()
            for record in running:
                self._tell(record, now_ns, idle=True)

    def _can_wait(self, now_ns: int) -> bool:
        """Whether no detector waits for a time to come, or has more to look at."""
        world = self._world
        return (
            now_ns - self._still_since_ns >= _QUIET_NS
            and not self._moments.unfinished
            and not (world.tasks.cancelling or world.scopes.cancelling)
            and world.looks.is_done
        )

    def _look_at(self, running: list[LoopRecord]) -> bool:
        """Look at all loops; return whether any of them is busy, or was asked for an answer."""
        frames = sys._current_frames()
        busy = False
        try:
            for record in running:
                busy |= self._look(record, frames.get(record.thread_id))
        finally:
            frames.clear()
            del frames
        return busy or bool(self._beats)

    def _look(self, record: LoopRecord, frame: Any) -> bool:
        """Look at one loop's thread, return whether it is busy; `frame` is what it executes now."""
        now = monotonic_ns()
        idle = frame is None or _is_waiting(frame) or _is_loop_itself(frame)
        if self.looked is not None:
            self._tell(record, now, idle=idle)
        beat = self._beats.get(record.key)
        if beat is not None:
            self._look_at_beat(record, beat, frame, now)
            return True
        if idle:
            self._last_busy.pop(record.key, None)
            return False
        root = _root_of(frame)
        known = self._last_busy.get(record.key)
        if known is None or known[0] != root:
            self._last_busy[record.key] = (root, now, computed_ns(record))
        else:
            _, since_ns, computed = known
            if record.cpu_clock:  # of a longer time only what was computed is sure to be one turn
                sure = max(computed_ns(record) - computed, _PERIOD_NS * 3 // 2)
                since_ns = max(since_ns, now - sure)
            self._send(record, _Beat(since_ns, capture(frame, 40), self._task_on(record)))
        return True

    def _tell(self, record: LoopRecord, now: int, *, idle: bool) -> None:
        try:
            if self.looked is not None:
                self.looked(record, now, idle=idle)
        except Exception as exc:
            self.looked = None
            self._failed("loop metrics", exc)

    def _send(self, record: LoopRecord, beat: _Beat) -> None:
        loop = record()
        if loop is None:
            return
        beat.computed_ns = computed_ns(record)
        self._beats[record.key] = beat
        try:
            loop.call_soon_threadsafe(beat)
        except RuntimeError:  # closed meanwhile
            self._beats.pop(record.key, None)

    def _look_at_beat(self, record: LoopRecord, beat: _Beat, frame: Any, now: int) -> None:
        took = now - beat.since_ns
        if beat.answered_ns or not record.thread_id:
            self.judge(record)
            return
        if frame is None or _is_ours(frame):
            return  # what hooking a library takes is not the program's fault
        if took >= min(self._block_ns // 2, 100_000_000):
            stack = capture(frame, 40)
            if self._slept_s == _PERIOD_S:
                beat.looks += 1
            if beat.is_early or took < self._block_ns:
                beat.is_early = False
                beat.stack = stack
                beat.task = self._task_on(record)

    def judge(self, record: LoopRecord) -> None:
        """Report an open beat of a loop that has answered it, or that stops."""
        beat = self._beats.pop(record.key, None)
        self._last_busy.pop(record.key, None)
        if beat is None:
            return
        took = (beat.answered_ns or monotonic_ns()) - beat.since_ns
        if took < self._block_ns:
            return
        # all that in one turn of the loop
        computed = (beat.used_ns or computed_ns(record)) - beat.computed_ns
        kept = record.cpu_clock and computed >= _KEPT_THE_LOCK_NS
        # fewer looks: this thread did not run either, as in a process that was suspended
        if kept or beat.looks >= _FEWEST_LOOKS:
            self._blocked(record, beat.stack, took, beat.task)

    def _task_on(self, record: LoopRecord) -> TaskRecord | None:
        loop = record()
        try:
            task = asyncio.current_task(loop)
        except RuntimeError:
            return None
        return self._world.tasks.record_of(task) if task is not None else None

    def _blocked(
        self, record: LoopRecord, stack: RawStack, took: int, task: TaskRecord | None
    ) -> None:
        record.blocked_times += 1
        record.blocked_max_ns = max(record.blocked_max_ns, took)
        self._world.loops.blocked += 1
        self._moments.fire("blocked", record, stack, took, task)


def _clock_is_fine() -> bool:
    """Whether the shortest step of a thread shows in its clock, as on Linux itself.

    Emulated kernels count in ticks of milliseconds, and what runs between them is not seen.
    """
    first = thread_time_ns()
    return any(thread_time_ns() != first for _ in range(100))


def computed_ns(record: LoopRecord) -> int:
    """Return how long a loop's thread has computed; 0 where that cannot be asked."""
    if not record.cpu_clock:
        return 0
    try:
        return int(_cpu_clock(record.cpu_clock))
    except OSError:  # the thread is gone
        return 0


def _is_waiting(frame: Any) -> bool:
    """Whether a loop's thread waits for events: in the selector, called by the loop itself."""
    outer = frame.f_back
    return outer is not None and outer.f_code is _RUN_ONCE.__code__


def _is_ours(frame: Any) -> bool:
    """Whether a thread executes something that this package does below the program's code."""
    while frame is not None and not is_user_file(frame.f_code.co_filename):
        if is_own_file(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _is_loop_itself(frame: Any) -> bool:
    """Whether a frame is asyncio's own code that runs a loop: a compiled loop is idle below it."""
    return frame.f_code.co_filename in _LOOP_FILES


def _root_of(frame: Any) -> int:
    """Return the identity of the outermost frame that the loop called."""
    root = frame
    while frame is not None and not _is_loop_itself(frame):
        root = frame
        frame = frame.f_back
    return id(root)
