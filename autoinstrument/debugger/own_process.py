"""Connect a client to the debugger of the own process. Runs in the hidden loop.

Two ways. If this process has an open debug port that nobody uses, we are its client. Otherwise no
port is opened at all: pydevd dials out to a listener that lives for this one connection, and has to
show that it knows a token that only this process can know.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import TYPE_CHECKING, Any

from . import _debugpy
from .client import AsyncDebugClient, ClientOptions
from .errors import DebuggerBusy, DebuggerError, DebugTimeout
from .hidden import hidden_thread, in_hidden_thread
from .security import check_privileges
from .server import current_server
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Opened = tuple[AsyncDebugClient, "Callable[[], Awaitable[None]]"]


async def open_own_process(options: ClientOptions, *, allow_privileged: bool = False) -> Opened:
    """Return an attached client, and what to call after its end.

    Raises:
        DebuggerBusy: an IDE, or another client, debugs this process.
        PrivilegesRefused: see `security`.
    """
    check_privileges(allow_privileged=allow_privileged)
    if _debugpy.is_client_connected():
        raise DebuggerBusy("a debugger is attached to this process; it serves one client")
    server = current_server()
    if server is not None:
        client = AsyncDebugClient(*server.address, options)
        await client.open()
        return client, _nothing
    if _debugpy.running_elsewhere():
        raise DebuggerBusy("a debugger runs in this process, started by somebody else")
    return await _dial_out(options), _stop_tracing


async def _nothing() -> None:
    """Leave the port open."""


async def _stop_tracing() -> None:
    if hasattr(sys, "monitoring"):
        await in_hidden_thread(_debugpy.stop_after_disconnect, "asyncscope-debugger-stop")
    else:
        # On 3.11 pydevd needs its half second: sessions that follow at once would take 200 ms an
        # answer. Nobody waits for it but the next connection.
        hidden_thread(_debugpy.stop, "asyncscope-debugger-stop")


async def _dial_out(options: ClientOptions) -> AsyncDebugClient:
    # Outside the time that the connection may take.
    await in_hidden_thread(_debugpy.load, "asyncscope-debugger-import")
    token = secrets.token_hex(32)
    arrived: asyncio.Future[Transport] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if arrived.done():
            writer.close()
        else:
            arrived.set_result(Transport(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # `connect` returns only after the handshake, so it needs a thread that is not this one.
    dialling = asyncio.ensure_future(
        in_hidden_thread(
            lambda: _debugpy.connect("127.0.0.1", port, token), "asyncscope-debugger-connect"
        )
    )
    client = AsyncDebugClient("127.0.0.1", port, options)
    try:
        await _first_of(arrived, dialling, options.connect_timeout_s)
        server.close()
        await _answer_at_once()
        await client.attach_over(arrived.result(), token)
        _debugpy.hurry()
        await asyncio.wait({dialling}, timeout=options.connect_timeout_s)
    except BaseException:
        await client.close()
        await _stop_tracing()
        raise
    finally:
        server.close()
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
    return client


async def _answer_at_once() -> None:
    # The handshake has four round trips, of 44 ms each before this; pydevd makes the object that
    # holds its socket a moment after the connection.
    for _ in range(25):
        if _debugpy.answer_at_once():
            return
        await asyncio.sleep(0.002)


async def _first_of(
    arrived: asyncio.Future[Transport], dialling: asyncio.Future[None], timeout_s: float
) -> None:
    either: set[asyncio.Future[Any]] = {arrived, dialling}
    await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if arrived.done():
        return
    if dialling.done():
        error = dialling.exception()
        raise DebuggerError(f"pydevd could not connect: {error!r}") from error
    raise DebugTimeout(f"pydevd did not connect within {timeout_s} s")
