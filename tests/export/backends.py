"""Real backends as child processes, for the tests that need them; loopback only."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

JAEGER = os.environ.get("JAEGER") or shutil.which("jaeger")
COLLECTOR = os.environ.get("OTELCOL") or shutil.which("otelcol-contrib")
PHOENIX = os.environ.get("PHOENIX") or shutil.which("phoenix")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def wait_for(what: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Return what a function returns, once that is true."""
    until = time.monotonic() + within_s
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < until, "nothing came in time"
        time.sleep(0.1)


@contextmanager
def running(
    command: list[str], log: Path, address: str, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a backend until the block ends; it is up when it answers at `address`, somehow."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={**os.environ, **(env or {})},
        )
    try:
        until = time.monotonic() + 300
        while not _answers(address):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.1)
        yield
    finally:
        process.kill()  # it takes its time over a graceful end, and holds nothing
        process.wait(10)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
