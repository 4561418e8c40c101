"""The adapter process of our own port: nobody who comes or goes badly can spoil it."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autoinstrument.debugger.client import AsyncDebugClient

from .conftest import OWN_SERVER, TICKER, Debuggee, start_debuggee, stop_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Debuggee]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    debuggee = start_debuggee(tmp_path / "program.py", TICKER, OWN_SERVER)
    yield debuggee
    stop_process(debuggee.process)


def hang_up_at_once(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stray:
        stray.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def vanish_while_stopped(debuggee: Debuggee) -> None:
    client = AsyncDebugClient("127.0.0.1", debuggee.port)
    await client.reconnect()
    await client.set_breakpoints(debuggee.path, [debuggee.line("add")])
    await client.wait_stopped()
    transport = client._transport
    assert transport is not None
    transport.address = None  # as another program, which knows nothing of pauses
    await transport.close()


@pytest.mark.asyncio
async def test_port_answers_after_clients_that_vanish_and_scanners(served: Debuggee) -> None:
    for _ in range(8):
        await vanish_while_stopped(served)
        for _ in range(5):
            hang_up_at_once(served.port)
    async with AsyncDebugClient("127.0.0.1", served.port) as client:
        first = (await client.evaluate("__import__('__main__').total")).result
        await asyncio.sleep(0.1)
        assert (await client.evaluate("__import__('__main__').total")).result != first


def adapters(port: int) -> list[int]:
    """Return the adapter processes of a port."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--for-server" in words and str(port).encode() in words:
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="needs /proc")
def test_adapter_ends_with_its_program_whoever_is_connected(served: Debuggee) -> None:
    with socket.create_connection(("127.0.0.1", served.port)):
        assert adapters(served.port)
        stop_process(served.process)
        assert wait_until(lambda: not adapters(served.port), 30)


def test_repair_leaves_another_debugpy_alone(tmp_path: Path) -> None:
    """Of a debugpy without these functions nothing is changed, and nothing is raised."""
    package = tmp_path / "debugpy"
    for folder in ("common", "adapter"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "common" / "sockets.py").write_text("value = 1\n")
    (package / "adapter" / "sessions.py").write_text("value = 2\n")
    from autoinstrument.debugger import _debugpy

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from debugpy.common import sockets\nfrom debugpy.adapter import sessions\n"
            "import sys\n"
            "print(sockets.value + sessions.value, 'RepairingFinder' in str(sys.meta_path))",
        ],
        env={"PYTHONPATH": os.pathsep.join([_debugpy._ADAPTER_SITE, str(tmp_path)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["3", "True"]
    assert done.stderr == ""
