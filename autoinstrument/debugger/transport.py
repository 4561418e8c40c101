"""A connection to a debugger: bytes in and out, answers to the asker, events to subscribers."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .dap import DapConnection, Event, JsonObject, Phase, Request, Response
from .errors import (
    ConnectFailed,
    ConnectionLost,
    DapProtocolError,
    DebugTimeout,
    RequestFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_log = logging.getLogger(__name__)
_READ_BYTES: Final = 256 * 1024
_CLOSE_TIMEOUT_S: Final = 2.0
# debugpy's adapter goes deaf for good if somebody connects while it still cleans up after a client
# that has left (see `adapter_site/sitecustomize.py`; adapters that we start are repaired). How long
# that takes cannot be asked; 0.02 s after a good-bye and 0.2 s after a loss on an idle machine.
_AFTER_GOODBYE_S: Final = 0.1
_AFTER_LOSS_S: Final = 1.0
_not_before: Final[dict[tuple[str, int], float]] = {}
# Without it each answer may wait 40 ms for an acknowledgement (see `pydevd_fixes.py`).
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Subscription:
    """A bounded queue of events; ends with `ConnectionLost`.

    Attributes:
        dropped: Events lost because nobody fetched them in time.
    """

    def __init__(self, transport: Transport, names: frozenset[str], limit: int) -> None:
        """Start to collect when entered."""
        self.dropped = 0
        self._transport = transport
        self._names = names
        self._queue: deque[Event] = deque(maxlen=limit)
        self._arrived = asyncio.Event()

    def __enter__(self) -> Subscription:
        """Begin to collect."""
        self._transport.subscriptions.append(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop to collect."""
        if self in self._transport.subscriptions:
            self._transport.subscriptions.remove(self)

    def put(self, event: Event) -> None:
        """Keep the event if it is of a kind asked for."""
        if self._names and event.event not in self._names:
            return
        self.dropped += len(self._queue) == self._queue.maxlen
        self._queue.append(event)
        self._arrived.set()

    def wake(self) -> None:
        """Let a waiting `get` look at the state of the connection."""
        self._arrived.set()

    async def get(self) -> Event:
        """Return the next event.

        Raises:
            ConnectionLost: there will be no more.
        """
        while not self._queue:
            if self._transport.lost is not None:
                raise ConnectionLost(self._transport.lost)
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def __aiter__(self) -> Subscription:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event; the end of the connection ends the loop."""
        try:
            return await self.get()
        except ConnectionLost:
            raise StopAsyncIteration from None


class Transport:
    """One connection, read by a task of its own.

    Attributes:
        on_event: Called with every event before the subscribers get it; must not raise.
        lost: Why the connection ended, `None` while it lasts.
        address: Of the adapter; `None` if pydevd itself is the peer.
        subscriptions: The queues that get events.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: tuple[str, int] | None = None,
    ) -> None:
        """Begin to read at once; the running loop owns this object."""
        self.address = address
        self.on_event: Callable[[Event], None] | None = None
        self.lost: str | None = None
        self.subscriptions: list[Subscription] = []
        self._dap = DapConnection()
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._socket: socket.socket | None = writer.get_extra_info("socket")
        self._set_option(socket.TCP_NODELAY)
        self._task = asyncio.create_task(self._read(), name="asyncscope debug reader")

    @property
    def phase(self) -> Phase:
        """Where the handshake is."""
        return self._dap.phase

    @property
    def capabilities(self) -> JsonObject:
        """What the debugger said it can do."""
        return self._dap.capabilities

    def may_send(self, command: str) -> bool:
        """Say whether the protocol allows the request now."""
        return self.lost is None and self._dap.may_send(command)

    def subscribe(self, *names: str, limit: int = 10_000) -> Subscription:
        """Return a queue of the events with these names, of all without any."""
        return Subscription(self, frozenset(names), limit)

    async def request(
        self, command: str, arguments: JsonObject | None, timeout_s: float | None
    ) -> JsonObject:
        """Send a request and return the body of its answer.

        Raises:
            RequestFailed: the debugger said no.
            DebugTimeout: it said nothing in time.
            ConnectionLost: it is gone.
            DapStateError: the handshake does not allow the request now.
        """
        if self.lost is not None:
            raise ConnectionLost(self.lost)
        seq, data = self._dap.request(command, arguments)
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = answered
        try:
            self._writer.write(data)
            async with asyncio.timeout(timeout_s):
                response = await answered
        except TimeoutError as exc:
            raise DebugTimeout(f"no answer to {command} within {timeout_s} s") from exc
        finally:
            self._waiting.pop(seq, None)
            self._dap.forget(seq)
        if not response.success:
            raise RequestFailed(command, response.error_text(), response.body)
        return response.body

    async def close(self) -> None:
        """Close the connection and wait, a bounded time, until it is closed."""
        self._end("the connection was closed")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()

    async def _read(self) -> None:
        reason = "the debugger closed the connection"
        try:
            while data := await self._reader.read(_READ_BYTES):
                self._set_option(_QUICKACK)
                for message in self._dap.receive(data):
                    self._deliver(message)
        except OSError as exc:
            reason = f"the connection broke: {exc}"
        except DapProtocolError as exc:
            reason = f"the peer does not speak the protocol: {exc}"
        finally:
            self._end(reason)

    def _deliver(self, message: Request | Response | Event) -> None:
        if isinstance(message, Response):
            waiting = self._waiting.get(message.request_seq)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif isinstance(message, Event):
            if self.on_event is not None:
                self.on_event(message)
            for subscription in tuple(self.subscriptions):
                subscription.put(message)
            if message.event == "terminated" and self.phase is not Phase.LEAVING:
                # The adapter keeps the connection open after the death of its debuggee.
                self._end("the debugged process ended")
        else:
            _log.debug("reverse request %s refused", message.command)
            self._writer.write(self._dap.answer(message, error="not supported"))

    def _end(self, reason: str) -> None:
        if self.lost is not None:
            return
        self.lost = reason
        self._note_the_end()
        self._dap.end_of_stream()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionLost(reason))
        for subscription in tuple(self.subscriptions):
            subscription.wake()
        if self.on_event is not None:
            self.on_event(Event("connectionLost", {"reason": reason}))

    def _note_the_end(self) -> None:
        """Remember when the adapter can be connected to again."""
        pause = {Phase.LEAVING: _AFTER_GOODBYE_S, Phase.READY: _AFTER_LOSS_S}.get(self.phase)
        if self.address is None or pause is None:
            return
        now = time.monotonic()
        for address in [a for a, until in _not_before.items() if until < now]:
            del _not_before[address]
        _not_before[self.address] = now + pause

    def _set_option(self, option: int | None) -> None:
        if option is not None and self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, option, 1)


async def open_transport(host: str, port: int, timeout_s: float) -> Transport:
    """Connect to an address.

    Raises:
        ConnectFailed: nobody answers there in time.
    """
    address = (host, port)
    await asyncio.sleep(max(0.0, _not_before.get(address, 0.0) - time.monotonic()))
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError as exc:
        raise ConnectFailed(f"no connection to {host}:{port} within {timeout_s} s") from exc
    except OSError as exc:
        raise ConnectFailed(f"nothing listens on {host}:{port}: {exc}") from exc
    return Transport(reader, writer, address)
