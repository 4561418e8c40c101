"""Finds event loops that one call keeps from running anything else.

The agent's thread looks at what each loop's thread executes, every 50 ms. A loop found twice in
the same turn is sent a heartbeat, and what is known until it answers is about that turn alone:
the queue of callbacks tells when the loop has gone on to the next one.
"""

import asyncio
import asyncio.runners
import sys
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from time import monotonic_ns, process_time_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from autoinstrument import env
from autoinstrument.clocks import computed_ns, starved_ns, waits_of_this_thread
from autoinstrument.places import capture, is_own_file, is_user_file
from autoinstrument.records import LoopRecord, RawStack, TaskRecord
from autoinstrument.world import World

if TYPE_CHECKING:  # making one takes long
    from typing import Protocol

    class Looked(Protocol):
        """Told about each look at a loop."""

        def __call__(self, record: LoopRecord, now_ns: int, *, idle: bool) -> None:
            """The loop waits for events, or does not."""


PERIOD_NS: Final = 50_000_000
# A thread that runs Python code gives the lock away within 5 ms when another asks for it; one that
# computed this long meanwhile was inside one compiled call.
_KEPT_THE_LOCK_NS: Final = 40_000_000
_FEWEST_LOOKS: Final = 2
_JUST_CALLED: Final = 4  # bytes of a function's code before its first statement
_Turn: TypeAlias = tuple[int, int, int]
"""What a loop's thread executes: its outermost frame, its task, and the callback that is next."""

_RUN_ONCE: Final[Any] = vars(BaseEventLoop)["_run_once"]
_LOOP_FILES: Final = frozenset(
    {asyncio.base_events.__file__, asyncio.events.__file__, asyncio.runners.__file__}
)


class _Beat:
    """One heartbeat sent into a loop that looks busy, and what is known of the turn before it."""

    __slots__ = (
        "answered_ns",
        "computed_ns",
        "handle",
        "hindered_ns",
        "idle_since_ns",
        "is_early",
        "looks",
        "seen_computed_ns",
        "seen_ns",
        "since_ns",
        "stack",
        "task",
        "turn",
        "used_ns",
    )

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self.handle: Any = None  # its place in the loop's queue
        self.answered_ns = 0
        self.used_ns = 0  # how long the loop's thread had computed then
        self.turn: _Turn = (0, 0, 0)
        self.computed_ns = 0  # how long the loop's thread had computed at the first look
        # and waited for a processor, or for us, when it was first seen not to compute; none before
        self.hindered_ns: int | None = None
        self.idle_since_ns = 0  # when that was
        self.seen_ns = 0  # when the same turn was seen for the last time
        self.seen_computed_ns = 0
        self.looks = 0
        self.is_early = True  # the stack was read at the first look, not in the midst of the block
        self.stack: RawStack = ()
        self.task: TaskRecord | None = None

    def __call__(self) -> None:
        self.answered_ns = monotonic_ns()
        self.used_ns = thread_time_ns()

    @property
    def is_next(self) -> bool:
        """Whether nothing is between the end of the turn and the answer."""
        return self.turn[2] == id(self.handle)


class BlockWatch:
    """Looks at loops, and tells the moment `blocked` of those that one turn has kept busy."""

    def __init__(self, world: World, failed: Callable[[str, BaseException], None]) -> None:
        """Start without any loop seen."""
        self._world = world
        self._failed = failed
        self._block_ns = world.settings.block_ms * 1_000_000
        self._beats: dict[int, _Beat] = {}
        self._last_busy: dict[int, tuple[_Turn, int, int]] = {}  # turn, when, how much computed
        self._computed_before: dict[int, int] = {}
        self._process_before = 0
        self._waits_before: int | None = None
        self._slept_ns = self._woke_ns = 0
        self._computing: set[int] = set()  # loops that computed for a quarter of the last period
        self._awake_ns = 0  # how long this thread has been awake, for the most part with the lock
        self.looked: Looked | None = None
        world.moments.on("loop_stopped", self.judge)

    @property
    def is_calm(self) -> bool:
        """Whether no loop was busy at the last look."""
        return not self._last_busy and not self._beats

    @property
    def has_computed(self) -> bool:
        """Whether a loop's thread has computed for a quarter of the last period or more."""
        return bool(self._computing)

    def forget(self) -> None:
        """Forget what was seen, as in a forked child."""
        self._beats.clear()
        self._last_busy.clear()

    def fall_asleep(self) -> None:
        """Note what has been computed before the agent's thread sleeps."""
        self._slept_ns = monotonic_ns()
        if self._woke_ns:
            self._awake_ns += self._slept_ns - self._woke_ns
        self._waits_before = waits_of_this_thread()
        self._process_before = process_time_ns()
        self._computed_before = {
            record.key: computed_ns(record) for record in self._world.loops.running()
        }

    def look_back(self, late_ns: int) -> None:
        """Report a block that kept this thread from running too: compiled code with the lock.

        The interpreter hands over right after the compiled call, so that the loop's thread
        still stands in the line that made it. A process that got no processor is no block.
        """
        self._woke_ns = monotonic_ns()
        before, self._computed_before = self._computed_before, {}
        running = self._world.loops.running()
        quarter_ns = (self._woke_ns - self._slept_ns) // 4
        self._computing = {
            record.key
            for record in running
            if record.key in before and computed_ns(record) - before[record.key] > quarter_ns
        }
        if late_ns < self._block_ns or not env.is_only_interpreter():
            return
        late_ns = min(late_ns, self._most_waited_ns())
        if late_ns < self._block_ns:
            return
        for record in running:
            if record.key not in before:
                continue
            if record.cpu_clock:
                computed = computed_ns(record) - before[record.key]
                kept = computed - PERIOD_NS >= _KEPT_THE_LOCK_NS  # after a short sleep too
            else:  # threads cannot be told apart
                computed = process_time_ns() - self._process_before
                kept = len(running) == 1 and computed >= max(late_ns * 3 // 4, PERIOD_NS)
            if kept:
                self._report_call_of(record, late_ns)

    def _most_waited_ns(self) -> int:
        """Return how long this thread can have waited for the lock since it fell asleep.

        Each wait takes a switch interval, and on a busy machine as long again until it is run.
        """
        waits = waits_of_this_thread()
        if waits is None or self._waits_before is None:
            return sys.maxsize
        return int((waits - self._waits_before) * sys.getswitchinterval() * 2e9)

    def _report_call_of(self, record: LoopRecord, took: int) -> None:
        frame = sys._current_frames().get(record.thread_id)
        beat = self._beats.get(record.key)
        if frame is None or _is_waiting(frame) or _is_ours(frame):
            return
        if beat is not None and not beat.answered_ns and (record.cpu_clock or not beat.is_early):
            return  # its answer will tell
        self._blocked(record, capture(frame, 40), took, self._task_on(record))

    def tell_idle(self, running: list[LoopRecord]) -> None:
        """Tell that none of these loops has run since the last look."""
        now_ns = monotonic_ns()
        for record in running:
            self._tell(record, now_ns, idle=True)

    def look_at(self, running: list[LoopRecord], *, at_once: bool = False) -> bool:
        """Look at all loops; return whether any of them is busy, or was asked for an answer.

        A look `at_once` comes sooner after the last one than others.
        """
        frames = sys._current_frames()
        busy = False
        try:
            for record in running:
                busy |= self._look(record, frames.get(record.thread_id), at_once)
        finally:
            frames.clear()
            del frames
        return busy or bool(self._beats)

    def _look(self, record: LoopRecord, frame: Any, at_once: bool) -> bool:
        """Look at one loop's thread, return whether it is busy; `frame` is what it executes now."""
        now = monotonic_ns()
        idle = frame is None or _is_waiting(frame) or _is_loop_itself(frame)
        self._tell(record, now, idle=idle)
        beat = self._beats.get(record.key)
        if beat is not None:
            self._look_at_beat(record, beat, frame, now, at_once)
            return True
        if idle:
            self._last_busy.pop(record.key, None)
            return False
        turn = self._turn_of(record, frame)
        known = self._last_busy.get(record.key)
        if known is None or not _is_same(known[0], turn):
            self._last_busy[record.key] = (turn, now, computed_ns(record))
            return True
        self._send(record, frame, known)
        return True

    def _tell(self, record: LoopRecord, now: int, *, idle: bool) -> None:
        try:
            if self.looked is not None:
                self.looked(record, now, idle=idle)
        except Exception as exc:
            self.looked = None
            self._failed("loop metrics", exc)

    def _send(self, record: LoopRecord, frame: Any, known: tuple[_Turn, int, int]) -> None:
        loop = record()
        if loop is None:
            return
        turn, since_ns, computed_before = known
        computed = computed_ns(record)
        if record.cpu_clock:  # of a longer time only what was computed is sure to be one turn
            sure = max(computed - computed_before, PERIOD_NS * 3 // 2)
            since_ns = max(since_ns, monotonic_ns() - sure)
        beat = self._beats[record.key] = _Beat(since_ns)
        try:
            beat.handle = loop.call_soon_threadsafe(beat)
        except RuntimeError:  # closed meanwhile
            self._beats.pop(record.key, None)
            return
        self._follow(record, beat, frame, computed)
        if not _is_same(turn, beat.turn) or _is_ours(frame):  # over before the heartbeat came
            beat.since_ns = beat.seen_ns

    def _follow(self, record: LoopRecord, beat: _Beat, frame: Any, computed: int) -> None:
        """Begin to watch the turn that is seen now."""
        beat.turn = self._turn_of(record, frame)
        beat.seen_ns = monotonic_ns()
        beat.computed_ns = beat.seen_computed_ns = computed
        beat.hindered_ns = None
        self._note_idleness(record, beat, 0)
        beat.looks = 0
        beat.is_early = True
        beat.stack = capture(frame, 40)
        beat.task = self._task_on(record)

    def _note_idleness(self, record: LoopRecord, beat: _Beat, since_ns: int) -> None:
        """Note what has hindered a loop's thread so far, once it is seen not to compute.

        To ask for that gives the interpreter's lock away three times, and beside a thread that
        computes each time costs it a turn; what it computes is known without.
        """
        if beat.hindered_ns is None and record.key not in self._computing:
            beat.hindered_ns = self._hindered_ns(record)
            beat.idle_since_ns = since_ns

    def _look_at_beat(
        self, record: LoopRecord, beat: _Beat, frame: Any, now: int, at_once: bool
    ) -> None:
        if beat.answered_ns or not record.thread_id:
            self.judge(record)
            return
        if frame is None:  # the thread is gone
            self._forget_beat(record)
            return
        if not _is_same(beat.turn, self._turn_of(record, frame)):
            self._judge_turn(record, beat)
            beat.since_ns = now
            self._follow(record, beat, frame, computed_ns(record))
            return
        computed = computed_ns(record)
        if _is_ours(frame):  # what hooking a library takes is not the program's fault
            beat.since_ns += now - beat.seen_ns
            beat.computed_ns += computed - beat.seen_computed_ns
        self._note_idleness(record, beat, beat.seen_ns)
        beat.seen_ns, beat.seen_computed_ns = now, computed
        took = now - beat.since_ns
        if took >= min(self._block_ns // 2, 100_000_000):
            if not at_once:
                beat.looks += 1
            if beat.is_early or took < self._block_ns:
                beat.is_early = False
                beat.stack = capture(frame, 40)
                beat.task = self._task_on(record)

    def judge(self, record: LoopRecord) -> None:
        """Report an open beat of a loop that has answered it, or that stops."""
        beat = self._forget_beat(record)
        if beat is None:
            return
        if beat.is_next:
            beat.seen_ns = beat.answered_ns or monotonic_ns()
            beat.seen_computed_ns = beat.used_ns or computed_ns(record)
        beat.handle = None  # which holds the beat
        self._judge_turn(record, beat)

    def _forget_beat(self, record: LoopRecord) -> _Beat | None:
        self._last_busy.pop(record.key, None)
        return self._beats.pop(record.key, None)

    def _judge_turn(self, record: LoopRecord, beat: _Beat) -> None:
        """Report a turn that is over, if it took too long for sure."""
        took = beat.seen_ns - beat.since_ns
        if took < self._block_ns:
            return
        computed = beat.seen_computed_ns - beat.computed_ns
        kept = record.cpu_clock and computed >= _KEPT_THE_LOCK_NS
        if kept or self._is_seen_waiting(record, beat):
            self._blocked(record, beat.stack, took, beat.task)

    def _is_seen_waiting(self, record: LoopRecord, beat: _Beat) -> bool:
        """Whether looks show that a turn lasted, and not that no thread got a processor.

        With fewer looks this thread did not run either, as in a process that was suspended.
        """
        if beat.looks < _FEWEST_LOOKS or beat.hindered_ns is None:
            return False
        took = beat.seen_ns - max(beat.since_ns, beat.idle_since_ns)
        return took - (self._hindered_ns(record) - beat.hindered_ns) >= self._block_ns

    def _hindered_ns(self, record: LoopRecord) -> int:
        """Return how long a loop's thread had no processor, or this one may have had the lock."""
        awake = monotonic_ns() - self._woke_ns if self._woke_ns else 0
        return starved_ns(record.native_id) + self._awake_ns + awake

    def _turn_of(self, record: LoopRecord, frame: Any) -> _Turn:
        task = self._task_on(record)
        try:  # it only grows while a callback runs: what comes first is the one after that
            following = id(record()._ready[0])  # type: ignore[union-attr]  # asyncio's own loops
        except (AttributeError, IndexError, TypeError):
            following = 0
        return _root_of(frame), task.serial if task is not None else 0, following

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
        self._world.moments.fire("blocked", record, stack, took, task)


def _is_same(seen: _Turn, now: _Turn) -> bool:
    """Whether both are the same turn, as far as can be told."""
    return seen[:2] == now[:2] and seen[2] in {0, now[2]}


def _is_waiting(frame: Any) -> bool:
    """Whether a loop's thread waits for events: in the selector, called by the loop itself."""
    outer = frame.f_back
    return outer is not None and outer.f_code is _RUN_ONCE.__code__


def _is_ours(frame: Any) -> bool:
    """Whether a thread executes something that this package does below the program's code.

    Not where it has just called us, by `sys.monitoring` or a hook: a compiled call gives the lock
    away in the next function, so that a thread is found there which has done nothing of ours yet.
    """
    if frame.f_lasti <= _JUST_CALLED and is_own_file(frame.f_code.co_filename):
        frame = frame.f_back
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
