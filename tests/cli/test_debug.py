"""`asyncscope ps` and `asyncscope debug` with real processes and real debugpy."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoinstrument import registry
from autoinstrument.cli import debug, ps
from autoinstrument.debugger.client import AsyncDebugClient
from autoinstrument.on_demand import Presence
from tests.helpers import child_environment

pytestmark = pytest.mark.slow
pytest.importorskip("debugpy")

PROGRAM = """
import asyncio, sys, threading, time

def add(n):
    return n + 1                    # LINE add

def work():
    n = 0
    for _ in range(20_000):
        n = add(n)

async def main():
    if "block" in sys.argv:
        while True:
            time.sleep(0.01)
    while True:
        before = time.thread_time()
        work()
        spent_ms = (time.thread_time() - before) * 1000
        names = [type(thread).__name__ for thread in threading.enumerate()]
        traced = sys.gettrace() is not None
        print(f"{spent_ms:.2f} {traced} {'_DummyThread' in names}", flush=True)
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


@dataclass
class Program:
    process: subprocess.Popen[str]
    path: Path
    environment: dict[str, str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "autoinstrument", *words],
            env=child_environment(self.environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def listed(self) -> dict[str, object]:
        entries = json.loads(self.command("ps", "--json").stdout)
        (entry,) = [entry for entry in entries if entry["pid"] == self.pid]
        assert isinstance(entry, dict)
        return entry

    def state(self) -> tuple[float, bool, bool]:
        """Return time for the work in ms, whether it is traced, and whether a dummy is seen."""
        assert self.process.stdout is not None
        spent, traced, dummy = self.process.stdout.readline().split()
        return float(spent), traced == "True", dummy == "True"

    def wait_until_traced(self, expected: bool) -> None:
        for _ in range(400):
            if self.state()[1] is expected:
                return
        raise AssertionError(f"the program's thread is traced: {not expected}")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(registry, "folders", lambda: [str(tmp_path / "asyncscope")])
    found = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    return found | {"ASYNCSCOPE_QUIET": "1"}


def started(folder: Path, environment: dict[str, str], *words: str, **variables: str) -> Program:
    path = folder / "program.py"
    path.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(path), *words],
        env=child_environment(environment | {"ASYNCSCOPE_ENABLE": "1"} | variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not registry.processes() and time.monotonic() < end:
        time.sleep(0.02)
    return Program(process, path, environment)


def ended(program: Program) -> None:
    program.process.kill()
    program.process.wait(10)
    if program.process.stdout is not None:
        program.process.stdout.close()


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str]) -> Iterator[Program]:
    found = started(tmp_path, environment)
    yield found
    ended(found)


LINE = next(n for n, text in enumerate(PROGRAM.splitlines(), 1) if "LINE add" in text)
SEES_CONNECTIONS = os.path.exists("/proc/net/tcp")


async def stop_in(port: int, path: Path) -> str:
    async with AsyncDebugClient("127.0.0.1", port) as client:
        await client.set_breakpoints(path, [LINE])
        await client.wait_stopped(20)
        entries = [ps.described(entry) for entry in registry.processes()]
        assert [entry["debug_client"] for entry in entries] == [SEES_CONNECTIONS]
        return (await client.stack_trace())[0].name


def test_port_is_opened_listed_used_and_closed(program: Program) -> None:
    assert program.listed()["debug_port"] is None
    done = program.command("debug", str(program.pid))
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(r"^process (\d+) listens on 127\.0\.0\.1:(\d+)$", done.stdout, re.MULTILINE)
    assert found is not None
    assert int(found[1]) == program.pid
    port = int(found[2])
    assert program.listed()["debug_port"] == port
    assert f"  {port}" in program.command("ps").stdout
    assert asyncio.run(stop_in(port, program.path)) == "add"
    assert program.state()[2] is False  # the agent's thread is not made known to the program
    again = program.command("debug", str(program.pid))
    assert f"already listens on 127.0.0.1:{port}" in again.stdout
    assert ("10 times slower" in again.stdout) is (sys.version_info < (3, 12))
    closed = program.command("debug", str(program.pid), "--stop")
    assert closed.stdout == f"process {program.pid} listens on 127.0.0.1:{port} no more\n"
    assert program.listed()["debug_port"] is None
    program.wait_until_traced(False)
    assert program.state()[2] is False
    none = program.command("debug", str(program.pid), "--stop")
    assert none.returncode == 1
    assert "has no debug port" in none.stderr


def test_loop_that_is_blocked_does_not_matter(tmp_path: Path, environment: dict[str, str]) -> None:
    program = started(tmp_path, environment, "block")
    try:
        assert program.command("debug", str(program.pid)).returncode == 0
    finally:
        ended(program)


def test_port_that_is_taken_is_said_with_its_holder(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = program.command("debug", str(program.pid), "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken by another process" in done.stderr
    assert program.command("debug", str(program.pid)).returncode == 0


@pytest.mark.parametrize(
    ("variables", "config", "words"),
    [
        ({"ASYNCSCOPE_DEBUGPY": "off"}, "", "ASYNCSCOPE_DEBUGPY=off in this process forbids"),
        ({}, "security:\n  allow_on_demand: false\n", "security.allow_on_demand in"),
        ({"SUDO_UID": "4711"}, "", "started through sudo by user 4711"),
        ({"PYTHONPATH": "{folder}/stub"}, "", "pip install 'asyncscope[debug]'"),
    ],
    ids=["off", "configured off", "raised privileges", "without debugpy"],
)
def test_refusals_say_why(
    variables: dict[str, str],
    config: str,
    words: str,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    if "SUDO_UID" in variables and os.geteuid() != 0:
        pytest.skip("only root can have been raised")
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "debugpy.py").write_text("raise ImportError('not here')\n")
    given = {name: text.format(folder=tmp_path) for name, text in variables.items()}
    if config:
        (tmp_path / "config.yaml").write_text(config)
        given["ASYNCSCOPE_CONFIG"] = str(tmp_path / "config.yaml")
    program = started(tmp_path, environment, **given)
    try:
        done = program.command("debug", str(program.pid))
    finally:
        ended(program)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stdout == ""


def test_who_cannot_be_asked_is_told_apart(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(pid: int) -> str:
        with pytest.raises(debug.RefusedError) as caught:
            debug.find(pid)
        return str(caught.value)

    assert "there is no process 999999999" in said(999999999)
    assert f"process {os.getpid()} is not watched by asyncscope" in said(os.getpid())
    if os.path.exists("/proc/self"):
        monkeypatch.setattr(debug, "_owner", lambda pid: 4711)
        assert "belongs to user 4711, who alone can ask it" in said(os.getpid())
    with pytest.raises(SystemExit):
        run_main("debug", "1", "--port", "70000")
    assert "'70000' is no port" in capsys.readouterr().err


def run_main(*words: str) -> int:
    from autoinstrument.cli.main import main

    return main(list(words))


def test_process_that_does_not_answer_is_given_up(environment: dict[str, str]) -> None:
    registry.publish(watched=True)
    try:
        with pytest.raises(debug.RefusedError, match=r"did not answer within 0\.2 s"):
            debug.ask(debug.find(os.getpid()), {"do": "start"}, timeout_s=0.2)
        folder = registry.folders()[0]
        assert os.listdir(folder) == [f"{os.getpid()}.json"]
    finally:
        registry.withdraw()


@pytest.mark.parametrize(
    "content",
    [
        {"pid": os.getpid(), "asked": 0.0, "do": "start"},
        {"pid": os.getpid(), "do": "start"},
        {"pid": 1, "asked": 1e12, "do": "start"},
        "no request",
    ],
    ids=["too old", "without a time", "for another process", "garbage"],
)
def test_request_that_nobody_waits_for_opens_nothing(
    content: object, environment: dict[str, str]
) -> None:
    lines: list[str] = []
    presence = Presence(lines.append, lambda: False)
    presence.tick(1)
    presence.tick(500_000_000)
    try:
        path = Path(registry.request_path(registry.folders()[0], os.getpid()))
        path.write_text(json.dumps(content))
        presence.tick(2_000_000_000)
        assert not path.exists()
        assert lines == []
        assert "answer" not in registry.processes()[0]
    finally:
        presence.end()


def test_process_that_computes_is_published_a_little_later(environment: dict[str, str]) -> None:
    presence = Presence(pytest.fail, lambda: True)
    listed = []
    try:
        for now_ms in (1, 500, 1_500, 2_100):
            presence.tick(now_ms * 1_000_000)
            listed.append(len(registry.processes()))
        assert listed == [0, 0, 0, 1]
    finally:
        presence.end()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_request_of_another_user_opens_nothing(environment: dict[str, str]) -> None:
    lines: list[str] = []
    presence = Presence(lines.append, lambda: False)
    presence.tick(1)
    presence.tick(500_000_000)
    try:
        path = Path(registry.request_path(registry.folders()[0], os.getpid()))
        request = {"pid": os.getpid(), "do": "stop", "asked": time.time()}
        registry.write(str(path), request | {"number": "1"})
        os.chown(path, 4711, 4711)
        presence.tick(2_000_000_000)
        assert not path.exists()
        # The same from its owner is answered.
        registry.write(str(path), request | {"number": "2"})
        presence.tick(4_000_000_000)
        end = time.monotonic() + 30
        while "answer" not in registry.processes()[0] and time.monotonic() < end:
            time.sleep(0.01)
        answer = registry.processes()[0]["answer"]
        assert (answer["number"], "no debug port" in answer["error"]) == ("2", True)
        assert len(lines) == 1
    finally:
        presence.end()


APP = """
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(sys.version_info < (3, 13), reason="on the newest Python only: it takes long")
def test_each_worker_of_a_server_has_a_port_and_the_list_says_which(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "app.py").write_text(APP)
    wanted = free_port()
    words = ("app:app", "--workers", "2", "--port", str(free_port()), "--app-dir", str(tmp_path))
    variables = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_DEBUGPY": str(wanted)}
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *words],
        env=child_environment(environment | variables),
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    ) as server:
        try:
            end = time.monotonic() + 60
            entries: list[dict[str, object]] = []
            while time.monotonic() < end and len(entries) < 2:
                time.sleep(0.1)
                found = [ps.described(entry) for entry in registry.processes()]
                entries = [entry for entry in found if entry["debug_port"]]
        finally:
            server.terminate()
    by_port = {entry["debug_port"]: entry for entry in entries}
    assert len(by_port) == 2
    owner = by_port.pop(wanted)
    (other,) = by_port.values()
    assert owner["debug_note"] == ""
    held = (f"process {owner['pid']}", "another process of this user")
    assert other["debug_note"] in [f"port {wanted} is held by {who}" for who in held]
    assert server.pid not in (owner["pid"], other["pid"])


def test_table_is_readable() -> None:
    entries = [
        {
            "pid": 7,
            "python": "3.13.0",
            "command": ["python", "app.py"],
            "watched": True,
            "started": 1000.0,
            "debug_host": "127.0.0.1",
            "debug_port": 5678,
            "debug_client": True,
            "debug_note": "",
        },
        {
            "pid": 4711,
            "python": "3.11.7",
            "command": ["python", "-c", "a\nb"],
            "watched": False,
            "started": None,
            "debug_host": None,
            "debug_port": None,
            "debug_client": False,
            "debug_note": "port 5678 is held by process 7",
        },
    ]
    assert ps.table(entries, 1000.0 + 3 * 3600 + 7 * 60).splitlines() == [
        "PID   PYTHON  UP     DEBUG PORT                          COMMAND",
        "7     3.13.0  3h07m  5678 (client attached)              python app.py",
        "4711  3.11.7  ?      - (port 5678 is held by process 7)  python -c a b (not watched)",
    ]
    assert [ps.duration(s) for s in (5, 65, 90_000, -1)] == ["5s", "1m05s", "1d01h", "0s"]


def test_nobody_is_watched(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("ps") == 0
    assert capsys.readouterr().out == "no process of this user is watched, or has a debug port\n"
    assert run_main("ps", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
