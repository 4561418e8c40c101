"""How late and how busy loops are, for the metrics; measured only while something is exported.

Utilization is the share of the time in which the loop's thread computed, or was seen in the
program's code: a call that sleeps takes no processor, and short steps are rarely seen. Delay is
measured once a second by a callback sent into a loop that is in use; an idle one is left alone,
since it would run what is due at once.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from autoinstrument.records import LoopRecord

_PERIOD_NS: Final = 1_000_000_000
_IN_USE: Final = 0.05  # a loop that is busier gets a callback
_MOST_DELAYS: Final = 10_000
_MOST_LOOPS: Final = 1_000


class _Loop:
    """What was seen of one loop since the last second began."""

    __slots__ = ("began_ns", "busy", "computed_ns", "looks", "pending", "share")

    def __init__(self, now_ns: int, computed_ns: int) -> None:
        self.began_ns = now_ns
        self.computed_ns = computed_ns
        self.looks = 0
        self.busy = 0
        self.share = 0.0
        self.pending = False


class Pulse:
    """Takes the looks of the agent's thread at loops, and is emptied with each batch."""

    def __init__(self, computed_ns: Callable[[LoopRecord], int]) -> None:
        """`computed_ns` tells how long a loop's thread has computed; 0 where it is not known."""
        self._computed_ns = computed_ns
        self._loops: dict[int, _Loop] = {}
        self._delays: deque[int] = deque(maxlen=_MOST_DELAYS)

    def look(self, record: LoopRecord, now_ns: int, *, idle: bool) -> None:
        """Note whether a running loop waits for events; called in the agent's thread."""
        loop = self._loops.get(record.serial)
        if loop is None:
            if len(self._loops) >= _MOST_LOOPS:
                self._loops.clear()
            loop = self._loops[record.serial] = _Loop(now_ns, self._computed_ns(record))
        loop.looks += 1
        loop.busy += not idle
        passed_ns = now_ns - loop.began_ns
        if passed_ns < _PERIOD_NS:
            return
        computed_ns = self._computed_ns(record)
        computed = (computed_ns - loop.computed_ns) / passed_ns
        loop.share = min(1.0, max(computed, loop.busy / loop.looks))
        loop.began_ns, loop.computed_ns, loop.looks, loop.busy = now_ns, computed_ns, 0, 0
        if loop.share < _IN_USE:
            self._delays.append(0)
        elif not loop.pending:
            self._send(record, loop)

    def _send(self, record: LoopRecord, loop: _Loop) -> None:
        running = record()
        if running is None:
            return
        sent_ns = monotonic_ns()

        def answered() -> None:
            loop.pending = False
            self._delays.append(monotonic_ns() - sent_ns)

        loop.pending = True
        try:
            running.call_soon_threadsafe(answered)
        except RuntimeError:  # closed meanwhile
            loop.pending = False

    def take(self, running: list[LoopRecord]) -> tuple[list[int], dict[int, float]]:
        """Return delays in ns since the last call, and the share of each loop that runs."""
        delays = []
        while self._delays:
            delays.append(self._delays.popleft())
        serials = {record.serial for record in running}
        for serial in [serial for serial in self._loops if serial not in serials]:
            del self._loops[serial]
        return delays, {serial: loop.share for serial, loop in self._loops.items()}
