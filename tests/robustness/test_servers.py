"""Servers with several processes: prefork, workers, and reload."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import child_environment
from tests.robustness.watched import write

pytestmark = pytest.mark.heavy

APP = """
import asyncio, os

lock = asyncio.Lock()
kept = asyncio.Lock()
left = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
    if scope["path"] == "/held":
        taken = asyncio.Event()
        task = asyncio.create_task(held(taken))
        await taken.wait()
        lock.release()
        await task
    if scope["path"] == "/left" and not left:
        await asyncio.gather(keeps(), begins())
    body = f"{os.getpid()} VERSION".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

async def held(taken):
    await lock.acquire()
    taken.set()
    await asyncio.sleep(0)

async def keeps():
    await kept.acquire()

async def begins():
    left.append(numbers())
    async for _ in left[0]:
        break

async def numbers():
    yield 1
    yield 2
"""
AT_THE_END = {"lock_held_at_task_end", "async_generator_not_closed"}  # of what /left leaves behind


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a server with the agent, and end it and all that it started."""
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_REPORT": str(folder / "report.json"),
        "ASYNCSCOPE_RECORD": str(folder / "run.jsonl"),
        "PYTHONWARNINGS": "error:This process:DeprecationWarning",  # about threads and fork
    }
    with (
        open(folder / "stderr", "w") as err,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=child_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ask(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def until(condition: Callable[[], Any], what: str, folder: Path, timeout_s: float = 60) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = condition()
            if found:
                return found
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen:\n{(folder / 'stderr').read_text()}")


def reports(folder: Path) -> dict[int, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in folder.glob("report.json*")]
    return {report["process"]["pid"]: report for report in found}


def ends_well(process: "subprocess.Popen[str]", folder: Path, *, number: int) -> None:
    process.send_signal(number)
    assert process.wait(30) in {0, -number}
    text = (folder / "stderr").read_text()
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert [line for line in text.splitlines() if "asyncscope" in line and "failed" in line] == []


def workers_of(port: int, folder: Path, count: int, path: str = "/") -> set[int]:
    found: set[int] = set()

    def enough() -> bool:
        found.add(int(ask(port, path).split()[0]))
        return len(found) >= count

    until(enough, f"an answer of {count} workers", folder)
    return found


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_forks_workers_that_are_watched(tmp_path: Path, preload: list[str]) -> None:
    write(tmp_path, APP, "app.py")
    port = free_port()
    command = ["gunicorn", "app:app", "-w", "2", "-b", f"127.0.0.1:{port}", *preload]
    worker = "uvicorn.workers.UvicornWorker"
    with serving(tmp_path, [*command, "-k", worker]) as process:
        workers = workers_of(port, tmp_path, 2, "/held")
        ends_well(process, tmp_path, number=signal.SIGTERM)
    found = reports(tmp_path)
    assert workers <= set(found)
    assert process.pid not in workers
    for pid in workers:
        kinds = [finding["kind"] for finding in found[pid]["findings"]]
        assert "lock_released_by_other_task" in kinds
        assert list(tmp_path.glob(f"run.jsonl.{pid}.*"))


GUNICORN = ["gunicorn", "app:app", "-w", "2", "-b", "127.0.0.1:PORT", "-k"]


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["uvicorn", "app:app", "--port", "PORT"], 1),
        (["uvicorn", "app:app", "--port", "PORT", "--loop", "uvloop"], 1),
        (["uvicorn", "app:app", "--port", "PORT", "--workers", "2"], 2),
        ([*GUNICORN, "uvicorn.workers.UvicornWorker"], 2),
        ([*GUNICORN, "asgi"], 2),  # ends by itself, and closes its loop without asyncio.run()
    ],
    ids=["uvicorn", "uvloop", "uvicorn-workers", "gunicorn-uvicorn", "gunicorn-asgi"],
)
@pytest.mark.parametrize("path", ["/", "/left"])
def test_what_is_left_at_the_end_of_a_server_is_found(
    tmp_path: Path, command: list[str], count: int, path: str
) -> None:
    write(tmp_path, APP, "app.py")
    port = free_port()
    command = [part.replace("PORT", str(port)) for part in command]
    with serving(tmp_path, command) as process:
        workers = workers_of(port, tmp_path, count, path)
        ends_well(process, tmp_path, number=signal.SIGTERM)
    found = reports(tmp_path)
    for pid in workers:
        kinds = [finding["kind"] for finding in found[pid]["findings"]]
        assert AT_THE_END & set(kinds) == (AT_THE_END if path == "/left" else set()), kinds


def test_uvicorn_workers_are_watched(tmp_path: Path) -> None:
    write(tmp_path, APP, "app.py")
    port = free_port()
    with serving(
        tmp_path, ["uvicorn", "app:app", "--workers", "2", "--port", str(port)]
    ) as process:
        workers = workers_of(port, tmp_path, 2)
        ends_well(process, tmp_path, number=signal.SIGTERM)
    found = reports(tmp_path)
    assert workers <= set(found)
    for pid in workers:
        assert found[pid]["statistics"]["tasks"]["created"] >= 3


def test_uvicorn_reloads_and_the_new_process_is_watched(tmp_path: Path) -> None:
    path = write(tmp_path, APP, "app.py")
    port = free_port()
    with serving(tmp_path, ["uvicorn", "app:app", "--reload", "--port", str(port)]) as process:
        first = until(lambda: ask(port), "an answer", tmp_path)
        path.write_text(APP.replace("VERSION", "CHANGED"))

        def reloaded() -> str:
            os.utime(path)  # what changed before uvicorn's first look goes unnoticed
            answer = ask(port)
            return answer if "CHANGED" in answer else ""

        second = until(reloaded, "the reload", tmp_path)
        ends_well(process, tmp_path, number=signal.SIGINT)
    assert first.split()[0] != second.split()[0]
    assert {int(first.split()[0]), int(second.split()[0])} <= set(reports(tmp_path))
