"""`DebugpyServer`: a debug port of this process, for an IDE or for `AsyncDebugClient`."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from . import _debugpy
from .announce import Announcement, announce, withdraw
from .config import DebugpyConfig, load_debugpy_config
from .errors import DebuggerBusy, DebugTimeout, ServerStartFailed
from .security import check_host, check_privileges

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# There is one debugger in a process, so there is at most one server.
_current: DebugpyServer | None = None
_lock: Final = threading.RLock()
_STOP_WAIT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The state of a server.

    Attributes:
        state: `stopped`, `listening` (no client) or `attached`.
        port: The real port, also when 0 was asked for; 0 while stopped.
        started: Seconds since 1970, 0 while stopped.
    """

    state: str
    host: str
    port: int
    pid: int
    started: float = 0.0


def current_server() -> DebugpyServer | None:
    """Return the server of this process that is listening, if there is one."""
    server = _current
    return server if server is not None and server.listening else None


class DebugpyServer:
    """The debug port of this process.

    Starting takes about 0.3 s and 22 MB, and an adapter process beside this one. On Python 3.12
    and later an open port costs nothing measurable after that; on 3.11 traced code runs five to
    ten times slower until `stop`, also while nobody is attached.

    ```python
    with DebugpyServer(port=5678) as server:
        print(server.address)
        server.wait_for_client(timeout_s=60)
    ```
    """

    def __init__(
        self, host: str | None = None, port: int | None = None, config: DebugpyConfig | None = None
    ) -> None:
        """Only remember; `start` opens the port. `host` and `port` win over `config`."""
        base = config or DebugpyConfig()
        self.config = replace(
            base,
            host=base.host if host is None else host,
            port=base.port if port is None else port,
        )
        self._address: tuple[str, int] | None = None
        self._pid = 0
        self._started = 0.0

    @classmethod
    def from_file(cls, path: str | Path) -> DebugpyServer:
        """Return a server with the options of a `debugpy_config.json`."""
        return cls(config=load_debugpy_config(path))

    def __enter__(self) -> DebugpyServer:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def listening(self) -> bool:
        """Whether the port is open; a fork's child has inherited the object and not the port."""
        return self._address is not None and self._pid == os.getpid()

    @property
    def address(self) -> tuple[str, int]:
        """Host and real port.

        Raises:
            ServerStartFailed: the server is not running.
        """
        if self._address is None or not self.listening:
            raise ServerStartFailed("the debug server is not running")
        return self._address

    def start(self) -> tuple[str, int]:
        """Open the port, wait for a client if so configured, and return host and port.

        Raises:
            RemoteHostRefused: the host is not loopback and `allow_remote` is off.
            PrivilegesRefused: raised privileges and `allow_privileged` is off.
            DebuggerBusy: a debugger runs in this process already.
            PortTaken: another process has the port.
            ServerStartFailed: debugpy cannot start.
        """
        check_host(self.config.host, allow_remote=self.config.allow_remote)
        check_privileges(allow_privileged=self.config.allow_privileged)
        with _lock:
            if self.listening:
                return self.address
            self._refuse_second()
            self._open()
        if self.config.wait_for_client:
            self.wait_for_client(self.config.wait_timeout_s or None)
        return self.address

    def _refuse_second(self) -> None:
        other = current_server()
        if other is not None:
            raise DebuggerBusy(f"this process listens on port {other.address[1]} already")
        if _debugpy.debugger() is not None:
            raise DebuggerBusy("a debugger runs in this process already, started by somebody else")

    def _open(self) -> None:
        global _current  # noqa: PLW0603  (one for each process, see above)
        self._address = _debugpy.listen(self.config)
        self._pid = os.getpid()
        self._started = time.time()
        _current = self
        if self.config.announce:
            host, port = self._address
            program = sys.argv[0] if sys.argv and sys.argv[0] else "python"
            announce(Announcement(self._pid, host, port, program, self._started))
            atexit.register(withdraw)

    def stop(self) -> None:
        """Close the port, detach whoever is attached, and end all tracing. May be started again."""
        global _current  # noqa: PLW0603
        with _lock:
            if not self.listening:
                return
            self._address = None
            _current = None
            withdraw()
            atexit.unregister(withdraw)
            _debugpy.stop()

    def detach(self) -> tuple[str, int]:
        """Detach the client and go on listening on the same port; return the address."""
        host, port = self.address
        self.stop()
        self.config = replace(self.config, host=host, port=port, wait_for_client=False)
        return self._start_again()

    def _start_again(self) -> tuple[str, int]:
        # The old adapter lets the port go a moment after its debuggee has left.
        end = time.monotonic() + _STOP_WAIT_S
        while True:
            try:
                return self.start()
            except ServerStartFailed:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def wait_for_client(self, timeout_s: float | None = None) -> None:
        """Block until a client is attached and has set its breakpoints.

        Raises:
            DebugTimeout: none came in time; the server listens on.
        """
        if not self.listening:
            raise ServerStartFailed("the debug server is not running")
        wait = _debugpy.wait_for_client()
        if timeout_s is None:
            wait()
            return
        timer = threading.Timer(timeout_s, _cancel, (wait,))
        timer.daemon = True
        _debugpy.hide_thread(timer)
        timer.start()
        try:
            wait()
        finally:
            timer.cancel()
        if not _debugpy.is_client_connected():
            raise DebugTimeout(f"no client within {timeout_s} s")

    async def client_attached(self, timeout_s: float | None = None) -> None:
        """Wait for a client without blocking the loop.

        Raises:
            DebugTimeout: none came in time; the server listens on.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not _debugpy.is_client_connected():  # noqa: ASYNC110  (debugpy has no event)
                    await asyncio.sleep(0.02)
        except TimeoutError as exc:
            raise DebugTimeout(f"no client within {timeout_s} s") from exc

    def status(self) -> ServerStatus:
        """Return the state of the server."""
        if not self.listening:
            return ServerStatus("stopped", self.config.host, 0, os.getpid())
        host, port = self.address
        state = "attached" if _debugpy.is_client_connected() else "listening"
        return ServerStatus(state, host, port, self._pid, self._started)


def _cancel(wait: Any) -> None:
    # `cancel` is set anew by each wait, after this timer was made.
    wait.cancel()
