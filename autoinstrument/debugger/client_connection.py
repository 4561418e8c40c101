"""The connection of a debug client: handshake, events, the present stop, and its end."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import model
from .dap import Event, JsonObject, Phase
from .errors import (
    DapStateError,
    DebuggerBusy,
    DebuggerError,
    DebugTimeout,
    NotConnected,
    NotStopped,
    RequestFailed,
)
from .remote_code import call_in_debuggee
from .transport import Subscription, Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .model import Stop

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client behaves.

    Attributes:
        connect_timeout_s: For the connection and for the whole handshake.
        request_timeout_s: For each answer.
        just_my_code: Hide frames of the standard library and of site-packages, and do not stop
            there.
        repair_pydevd: Apply the repairs of `pydevd_fixes` in the debuggee (quick answers,
            breakpoints that reach parked coroutines).
        redirect_output: Report what the program prints as `output` events.
    """

    connect_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    just_my_code: bool = True
    repair_pydevd: bool = True
    redirect_output: bool = False


class ClientConnection:
    """What every part of the client needs: one attached connection.

    Invariant: `_stops` holds the stops that still last, by thread.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 5678, options: ClientOptions | None = None
    ) -> None:
        """Remember the address; `open` connects."""
        self.host = host
        self.port = port
        self.options = options or ClientOptions()
        self._transport: Transport | None = None
        self._stops: dict[int, Stop] = {}
        self._stop_serial = 0
        self._stopped_at = 0.0
        self._taken_serial = 0

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Connect and attach."""
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect; the program runs on."""
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether requests can be made."""
        return self._transport is not None and self._transport.phase is Phase.READY

    @property
    def capabilities(self) -> JsonObject:
        """What the debugger says it can do; empty before `open`."""
        return self._transport.capabilities if self._transport is not None else {}

    async def open(self) -> None:
        """Connect to the address and attach.

        Raises:
            ConnectFailed: nothing listens there, or it is no debugger.
            DebuggerBusy: another client is attached.
            DebugTimeout: the handshake did not end within `connect_timeout_s`.
        """
        if self.connected:
            raise DapStateError("the client is connected already")
        transport = await open_transport(self.host, self.port, self.options.connect_timeout_s)
        await self.attach_over(transport)

    async def attach_over(self, transport: Transport, token: str | None = None) -> None:
        """Attach over a connection that exists already; with `token` the debuggee must know it."""
        self._transport = transport
        self._stops.clear()
        transport.on_event = self._note
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                await self._handshake(transport, token)
        except TimeoutError as exc:
            await self._drop()
            raise DebugTimeout(_no_handshake(self.options.connect_timeout_s, transport)) from exc
        except BaseException:
            await self._drop()
            raise

    async def reconnect(self) -> None:
        """Connect again, after a loss or not, and set all breakpoints again.

        For `connect_timeout_s` a refusal as busy is taken for our own old connection, whose end
        the debugger has not noticed yet.
        """
        await self.close()
        end = time.monotonic() + self.options.connect_timeout_s
        while True:
            try:
                return await self.open()
            except DebuggerBusy:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.05)

    async def disconnect(self) -> None:
        """Detach without ending the program; it runs on without breakpoints."""
        transport = self._transport
        if transport is None:
            return
        try:
            if transport.may_send("disconnect"):
                await transport.request(
                    "disconnect", {"terminateDebuggee": False}, self.options.request_timeout_s
                )
        finally:
            await self._drop()

    async def close(self) -> None:
        """Disconnect, and do not mind if the other side is gone or silent."""
        with suppress(DebuggerError):
            await self.disconnect()

    async def _drop(self) -> None:
        transport, self._transport = self._transport, None
        self._stops.clear()
        if transport is not None:
            await transport.close()

    async def _handshake(self, transport: Transport, token: str | None) -> None:
        if token is not None:
            await self._authorize(transport, token)
        await transport.request("initialize", _INITIALIZE, None)
        with transport.subscribe("initialized") as initialized:
            # The answer to `attach` comes after `configurationDone`: it must not be awaited yet.
            attach = asyncio.ensure_future(
                transport.request("attach", self._attach_arguments(), None)
            )
            greeted = asyncio.ensure_future(initialized.get())
            try:
                await asyncio.wait({attach, greeted}, return_when=asyncio.FIRST_COMPLETED)
                if not greeted.done():
                    _raise_if_refused(attach)
                    await greeted
                await self._configure()
                await transport.request("configurationDone", None, None)
                await asyncio.wait({attach})
                _raise_if_refused(attach)
            finally:
                await _discard(attach, greeted)
        if self.options.repair_pydevd:
            await self._repair()

    async def _repair(self) -> None:
        install: JsonObject = {"expression": call_in_debuggee("install"), "context": "repl"}
        try:
            failed = model.text(await self._ask("evaluate", install), "result")
        except RequestFailed as exc:
            failed = exc.text
        if failed:
            _log.info("debugging works, but slowly or incompletely: %s", failed)

    async def _authorize(self, transport: Transport, token: str) -> None:
        answer = await transport.request("pydevdAuthorize", {"debugServerAccessToken": None}, None)
        if answer.get("clientAccessToken") != token:
            raise NotConnected("the process that connected does not know the token")

    async def _configure(self) -> None:
        """Send what has to be there before the program runs on; called within the handshake."""
        raise NotImplementedError

    def _attach_arguments(self) -> JsonObject:
        arguments: JsonObject = {
            "justMyCode": self.options.just_my_code,
            "subProcess": False,
            "redirectOutput": self.options.redirect_output,
        }
        return arguments

    # -- events --------------------------------------------------------------------------------

    def subscribe(self, *events: str) -> Subscription:
        """Return a queue of the events named (all, if none is), to be used with `with`."""
        return self._live().subscribe(*events)

    async def wait_event(
        self,
        event: str,
        timeout_s: float | None = None,
        predicate: Callable[[Event], bool] | None = None,
    ) -> Event:
        """Wait for the next event of that name for which `predicate` holds.

        Raises:
            DebugTimeout: it did not come in time (default: the request timeout).
            ConnectionLost: the connection ended first.
        """
        limit = self.options.request_timeout_s if timeout_s is None else timeout_s
        with self.subscribe(event) as events:
            try:
                async with asyncio.timeout(limit):
                    while True:
                        found = await events.get()
                        if predicate is None or predicate(found):
                            return found
            except TimeoutError as exc:
                raise DebugTimeout(f"no {event!r} event within {limit} s") from exc

    def _note(self, event: Event) -> None:
        if event.event == "stopped":
            self._stop_serial += 1
            self._stopped_at = time.monotonic()
            stop = model.read_stop(event.body, self._stop_serial)
            self._stops[stop.thread_id] = stop
        elif event.event == "continued":
            if event.body.get("allThreadsContinued", True):
                self._stops.clear()
            else:
                self._stops.pop(model.integer(event.body, "threadId"), None)
        elif event.event in ("terminated", "exited"):
            self._stops.clear()

    @property
    def stop(self) -> Stop | None:
        """The latest stop that still lasts, or `None` while the program runs."""
        return max(self._stops.values(), key=lambda stop: stop.serial, default=None)

    async def wait_stopped(self, timeout_s: float | None = None) -> Stop:
        """Wait for the next stop; one that nobody has taken yet is returned at once.

        Raises:
            DebugTimeout: the program ran on (a pause takes effect at the next line of user code,
                which an idle loop never reaches).
        """
        stop = self.stop
        if stop is None or stop.serial <= self._taken_serial:
            event = await self.wait_event("stopped", timeout_s)
            stop = self._stops.get(model.integer(event.body, "threadId"))
            if stop is None:
                stop = model.read_stop(event.body, self._stop_serial)
        self._taken_serial = stop.serial
        return stop

    # -- for the parts -------------------------------------------------------------------------

    def _stopped_thread(self) -> int | None:
        stop = self.stop
        return stop.thread_id if stop is not None else None

    def _thread(self, thread_id: int | None) -> int:
        found = thread_id if thread_id is not None else self._stopped_thread()
        if found is None:
            raise NotStopped("no thread is stopped; name one by its id")
        return found

    def _live(self) -> Transport:
        if self._transport is None:
            raise NotConnected("the client is not connected")
        return self._transport

    async def _ask(self, command: str, arguments: JsonObject | None = None) -> JsonObject:
        return await self._live().request(command, arguments, self.options.request_timeout_s)

    async def request(self, command: str, arguments: JsonObject | None = None) -> JsonObject:
        """Send any other request of the protocol and return the body of its answer."""
        return await self._ask(command, arguments)


_INITIALIZE: Final[JsonObject] = {
    "clientID": "asyncscope",
    "clientName": "asyncscope",
    "adapterID": "debugpy",
    "locale": "en",
    "linesStartAt1": True,
    "columnsStartAt1": True,
    "pathFormat": "path",
    "supportsVariableType": True,
    "supportsRunInTerminalRequest": False,
    "supportsStartDebuggingRequest": False,
}


def _no_handshake(limit_s: float, transport: Transport) -> str:
    if transport.capabilities:
        return f"the handshake took more than {limit_s} s"
    return (
        f"connected, but nobody said a word within {limit_s} s: debugpy's adapter is deaf or busy"
    )


def _raise_if_refused(attach: asyncio.Future[JsonObject]) -> None:
    """Raise what `attach` was answered with, unless that was a yes."""
    if not attach.done():
        return
    try:
        attach.result()
    except RequestFailed as exc:
        if "already being debugged" in exc.text:
            raise DebuggerBusy(f"another client is attached: {exc.text}") from exc
        raise


async def _discard(*futures: asyncio.Future[JsonObject] | asyncio.Future[Event]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
