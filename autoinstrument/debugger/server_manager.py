"""`DebugpyServerManager`: the debug ports of several processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autoinstrument.registry import is_alive

from .announce import Announcement, announced
from .client import AsyncDebugClient, ClientOptions
from .config import DebugpyConfig
from .errors import DebuggerError, DebugTimeout, ServerStartFailed
from .security import check_host
from .server import ServerStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_POLL_S: Final = 0.02
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ManagedServer:
    """A process with a debug port.

    Attributes:
        launched: Whether this manager started it, and therefore ends it.
    """

    name: str
    pid: int
    host: str
    port: int
    launched: bool


class DebugpyServerManager:
    """Start programs with a debug port, find those that others started, connect to them.

    ```python
    async with DebugpyServerManager() as manager:
        await manager.launch("worker", ["worker.py", "--queue", "a"])
        async with manager.client("worker") as client:
            print(await client.async_tasks())
    ```

    Leaving the block ends the programs that were launched, and only those.
    """

    def __init__(
        self, config: DebugpyConfig | None = None, options: ClientOptions | None = None
    ) -> None:
        """Use `config` for the programs launched and `options` for the clients."""
        self.config = config or DebugpyConfig()
        self.options = options or ClientOptions()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: dict[str, ManagedServer] = {}

    async def __aenter__(self) -> DebugpyServerManager:
        """Start with nothing."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the programs that were launched."""
        await self.stop_all()

    async def launch(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        wait_for_client: bool = False,
        timeout_s: float = 20.0,
    ) -> ManagedServer:
        """Run `python arguments...` with a debug port of its own, and return it when it is open.

        `arguments` begin with a script, or with `-m` and a module. With `wait_for_client` the
        program's first line runs only after a client has attached.

        Raises:
            ServerStartFailed: the program ended, or opened no port in time; it is gone then.
        """
        if name in self._processes:
            raise ServerStartFailed(f"a program named {name!r} is managed already")
        check_host(self.config.host, allow_remote=self.config.allow_remote)
        command = [python, "-m", "autoinstrument.debugger.run", "--host", self.config.host]
        command += ["--port", str(self.config.port)]
        command += ["--wait"] if wait_for_client else []
        command += ["--allow-remote"] if self.config.allow_remote else []
        process = subprocess.Popen([*command, "--", *arguments], env=_environment(env))  # noqa: ASYNC220  (does not wait)
        self._processes[name] = process
        try:
            found = await _announcement(process, timeout_s)
        except BaseException:
            await self.stop(name)
            raise
        server = ManagedServer(name, found.pid, found.host, found.port, launched=True)
        self._servers[name] = server
        return server

    def discover(self) -> list[ManagedServer]:
        """Return all processes of this user with a debug port, launched here or elsewhere."""
        own = {server.pid: server for server in self._servers.values()}
        return [
            own.get(
                entry.pid,
                ManagedServer(entry.program, entry.pid, entry.host, entry.port, launched=False),
            )
            for entry in announced()
        ]

    def get(self, which: str | int) -> ManagedServer:
        """Return a server by the name of its program or by process id."""
        if isinstance(which, str) and which in self._servers:
            return self._servers[which]
        for server in self.discover():
            if which in (server.pid, server.name):
                return server
        raise DebuggerError(f"no process with a debug port is named {which!r}")

    def client(self, which: str | int) -> AsyncDebugClient:
        """Return a client for a process, not yet connected."""
        server = self.get(which)
        return AsyncDebugClient(server.host, server.port, self.options)

    def status(self) -> dict[str, ServerStatus]:
        """Return the state of the programs launched; `stopped` once they have ended."""
        return {
            name: ServerStatus(
                "listening" if is_alive(server.pid) else "stopped",
                server.host,
                server.port,
                server.pid,
            )
            for name, server in self._servers.items()
        }

    async def stop(self, name: str) -> int | None:
        """End a program that was launched, by force if need be; return its exit status."""
        process = self._processes.pop(name, None)
        self._servers.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.terminate()
            with suppress(DebugTimeout):
                await _ended(process, _STOP_TIMEOUT_S)
        if process.poll() is None:
            process.kill()
            await _ended(process, _STOP_TIMEOUT_S)
        return process.returncode

    async def stop_all(self) -> None:
        """End all programs that were launched."""
        for name in list(self._processes):
            await self.stop(name)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    # The port is opened by our own runner; the variable would ask for a second one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ASYNCSCOPE_DEBUGPY")}
    return kept | dict(extra or {})


async def _announcement(process: subprocess.Popen[bytes], timeout_s: float) -> Announcement:
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                for entry in announced():
                    if entry.pid == process.pid:
                        return entry
                if process.poll() is not None:
                    raise ServerStartFailed(f"the program ended with status {process.returncode}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        raise ServerStartFailed(f"the program opened no debug port within {timeout_s} s") from exc


async def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while process.poll() is None:  # noqa: ASYNC110  (no child watcher is set up)
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        raise DebugTimeout(f"process {process.pid} did not end within {timeout_s} s") from exc
