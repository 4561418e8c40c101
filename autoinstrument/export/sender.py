"""Sends requests in a thread of its own, so that a slow backend delays nobody.

It is a bare thread, so that `threading.active_count()` stays the program's own; it ends with
the interpreter, like a daemon thread.
"""

import _thread
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from autoinstrument.export.transport import Transport
from autoinstrument.native import Flag, allocate_lock, start_new_thread, wait_until_gone

_MOST_BYTES: Final = 8 << 20
_SEND_S: Final = 30.0
_MOST_FAILURES: Final = 3
_LONGEST_REST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request: what it carries, how many items, and about how many bytes."""

    signal: str
    payload: Any
    items: int
    size: int


class Sender:
    """A bounded queue before a transport; what does not fit, or fails, is dropped and counted.

    After a few failures in a row the backend is left alone for a while, longer each time: a request
    that fails costs time and memory (an HTTP library's exceptions refer to themselves, and to the
    request, until the collector comes).
    """

    def __init__(
        self, transport: Transport, say: Callable[[str], None], most_bytes: int = _MOST_BYTES
    ) -> None:
        """Send nothing yet: `start` starts the thread. `most_bytes` may wait."""
        self._most_bytes = most_bytes
        self.exported = 0
        self.dropped = 0
        self.failed = 0
        self._transport = transport
        self._say = say
        self._said = False
        self._queue: deque[Parcel] = deque()
        self._bytes = 0
        self._until = 0.0  # set once the process ends
        self._failures = 0  # in a row
        self._rest_until = 0.0
        self._wake = Flag()
        self._idle = Flag()
        self._idle.set()
        self._running = False
        self._paused = False
        self._native_id = 0
        self._ended = allocate_lock()  # held while the thread runs

    def start(self) -> None:
        """Start the thread unless it runs; where none can be started, `finish` sends itself."""
        if self._running:
            return
        self._paused = False
        if not self._ended.acquire(timeout=0):
            return  # one that was asked to end is still sending
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # the interpreter is shutting down
            self._ended.release()
            return
        self._running = True

    def pause(self, wait_s: float = 1.0) -> None:
        """End the thread, before a fork; `start` starts another one."""
        if not self._running:
            return
        self._running = False
        self._paused = True
        self._wake.set()
        if self._ended.acquire(timeout=wait_s):
            self._ended.release()
            wait_until_gone(self._native_id)

    def put(self, parcel: Parcel) -> None:
        """Queue a request, or drop it when the queue is full."""
        if self._bytes + parcel.size > self._most_bytes and self._queue:
            self.dropped += parcel.items
            return
        self._bytes += parcel.size
        self._idle.clear()
        self._queue.append(parcel)
        self._wake.set()

    def finish(self, deadline_s: float) -> None:
        """Send what is queued, within `deadline_s` seconds; the rest is dropped."""
        self._until = time.monotonic() + deadline_s
        self._transport.hurry()
        if not self._running and self._queue:
            # A thread can be left alone with a backend that answers a byte a second: each byte is
            # in time for a socket's own limit.
            self.start()
        if not self._running:
            self._paused = False  # a fork may have come since the last batch
            self._send_queued()
            self._transport.close()
        else:
            if self._queue:
                self._idle.clear()  # it was set if the backend is left alone
            self._wake.set()
            self._idle.wait(deadline_s)
        left = list(self._queue)
        self._queue.clear()
        self.dropped += sum(parcel.items for parcel in left)

    def _run(self) -> None:
        self._native_id = _thread.get_native_id()
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                self._send_queued()  # before the test: `finish` may have come first
                if self._until or self._paused:
                    break
            self._transport.close()
        finally:
            self._ended.release()

    def _send_queued(self) -> None:
        while self._queue and not self._paused and not self._is_resting():
            try:
                parcel = self._queue[0]
                self._send(parcel)
                self._queue.popleft()
            except IndexError:  # `finish` gave up meanwhile
                break
            self._bytes -= parcel.size
        self._idle.set()
        if (
            self._queue and not self._paused and not self._is_resting()
        ):  # `put` came between the two lines above
            self._wake.set()

    def _is_resting(self) -> bool:
        return not self._until and time.monotonic() < self._rest_until

    def _send(self, parcel: Parcel) -> None:
        until = self._until or time.monotonic() + _SEND_S
        if time.monotonic() >= until:
            trouble = "no time left"
        elif self._until and self._failures > _MOST_FAILURES:
            trouble = "the backend has failed before"  # and once more, at the end
        else:
            try:
                trouble = self._transport.send(parcel.signal, parcel.payload, until)
            except Exception as exc:
                trouble = f"{type(exc).__name__}: {exc}"
        if not trouble:
            self._failures = 0
            self.exported += parcel.items
            return
        self.failed += parcel.items
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            rest_s = min(_LONGEST_REST_S, 2.0 ** (self._failures - _MOST_FAILURES + 1))
            self._rest_until = time.monotonic() + rest_s
        if not self._said:
            self._said = True
            self._say(
                f"{parcel.items} {_NOUNS[parcel.signal]} could not be sent ({trouble}); "
                "further failures are only counted (otlp-export)"
            )


_NOUNS: Final = {"traces": "spans", "metrics": "metrics", "logs": "log records"}
