"""`DebugpyServer`, its manager, and what the environment variable does, in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from autoinstrument import registry
from autoinstrument.debugger import announce, startup
from autoinstrument.debugger.client import AsyncDebugClient
from autoinstrument.debugger.config import DebugpyConfig
from autoinstrument.debugger.errors import (
    DebuggerError,
    PrivilegesRefused,
    RemoteHostRefused,
    ServerStartFailed,
)
from autoinstrument.debugger.security import check_privileges, is_loopback
from autoinstrument.debugger.server import DebugpyServer
from autoinstrument.debugger.server_manager import DebugpyServerManager
from autoinstrument.debugger.startup import parse_address, start_from_environment

from .conftest import TICKER, child_environment, stop_process

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(registry, "folders", lambda: [str(tmp_path / "asyncscope")])


def run(program: str, *words: str, timeout_s: float = 60, **variables: str) -> dict[str, Any]:
    """Run a program in a process of its own; it prints one JSON object on stdout."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=child_environment(**variables),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found | {"stderr": done.stderr}


START = """
    import json, os, sys
    from autoinstrument.debugger.startup import start_from_environment
    lines = []
    server = start_from_environment(os.environ, lines.append)
    owner = os.environ.get("ASYNCSCOPE_DEBUGPY_OWNER")
    result = {"lines": lines, "pid": os.getpid(), "owner": owner}
    if server is not None:
        result["state"] = server.status().state
        result["address"] = server.address
"""


def test_import_starts_and_imports_nothing() -> None:
    found = run(
        """
        import json, sys, threading
        import autoinstrument.debugger, autoinstrument.debugger.startup
        import autoinstrument.debugger.break_on
        heavy = [m for m in ("debugpy", "pydevd", "asyncio") if m in sys.modules]
        print(json.dumps({"heavy": heavy, "threads": threading.active_count()}))
        """
    )
    assert found["threads"] == 1
    assert "debugpy" not in str(found["heavy"])
    assert "pydevd" not in str(found["heavy"])


@pytest.mark.slow
def test_start_stop_restart_detach_and_status() -> None:
    found = run(
        """
        import json, os
        from autoinstrument.debugger.announce import announced
        from autoinstrument.debugger.errors import DebuggerBusy
        from autoinstrument.debugger.server import DebugpyServer, current_server
        server = DebugpyServer()
        states = [server.status().state]
        first = server.start()
        states.append(server.status().state)
        def own():
            return [(e.pid, e.port) for e in announced() if e.pid == os.getpid()]
        named = own()
        again = server.start()
        busy = ""
        try:
            DebugpyServer().start()
        except DebuggerBusy as exc:
            busy = str(exc)
        kept = server.detach()
        server.stop()
        server.stop()
        states.append(server.status().state)
        print(json.dumps({"states": states, "first": first, "again": again, "kept": kept,
            "busy": busy, "named": named, "pid": os.getpid(), "left": len(own()),
            "current": current_server() is None}))
        """
    )
    assert found["states"] == ["stopped", "listening", "stopped"]
    assert found["first"] == found["again"] == found["kept"]
    assert found["named"] == [[found["pid"], found["first"][1]]]
    assert "already" in str(found["busy"])
    assert found["left"] == 0
    assert found["current"] is True
    assert found["stderr"] == ""


@pytest.mark.slow
def test_free_port_is_printed_and_nothing_goes_to_stdout() -> None:
    found = run(START + "    print(json.dumps(result))", ASYNCSCOPE_DEBUGPY="0")
    host, port = found["address"]
    assert host == "127.0.0.1"
    assert any(f"127.0.0.1:{port}" in line for line in found["lines"])
    assert found["owner"] == str(found["pid"])
    assert found["stderr"] == ""


@pytest.mark.slow
def test_taken_port_is_said_and_the_program_goes_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run(START + "    print(json.dumps(result))", ASYNCSCOPE_DEBUGPY=str(port))
    assert "state" not in found
    (line,) = found["lines"]
    assert f"port {port} of 127.0.0.1 is taken" in line


@pytest.mark.slow
def test_child_of_the_owner_takes_a_free_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    child = textwrap.dedent(START) + "print(json.dumps(result))"
    found = run(
        START
        + f"""
    import subprocess
    done = subprocess.run([sys.executable, "-c", {child!r}], capture_output=True, text=True)
    result["child"] = json.loads(done.stdout)
    print(json.dumps(result))
        """,
        ASYNCSCOPE_DEBUGPY=port,
    )
    inner = found["child"]
    assert found["address"] == ["127.0.0.1", int(port)]
    assert inner["address"][1] != int(port)
    assert inner["owner"] == str(found["pid"])
    assert "takes a free one" in inner["lines"][0]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_does_not_believe_in_the_parents_port() -> None:
    found = run(
        START
        + """
    import os, warnings
    warnings.simplefilter("ignore")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = []
        inner = start_from_environment(os.environ, said.append)
        os.write(write, json.dumps([inner is None, server.listening, said]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    result["forked"] = json.loads(os.read(read, 10000))
    print(json.dumps(result))
        """,
        ASYNCSCOPE_DEBUGPY="0",
    )
    none, listening, said = found["forked"]
    assert none is True
    assert listening is False
    assert "before a fork" in said[0]


@pytest.mark.slow
def test_wait_blocks_until_a_client_is_there(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(START).replace("lines.append", "lambda line: print(line, flush=True)")
        + "print('RUNNING', flush=True)\nsys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(ASYNCSCOPE_DEBUGPY="0", ASYNCSCOPE_DEBUGPY_WAIT="1"),
    )
    try:
        assert process.stdout is not None
        lines = []
        while "waiting" not in (line := process.stdout.readline()):
            assert line
            lines.append(line)
        port = int(lines[0].split("127.0.0.1:")[1].split()[0])
        assert process.poll() is None

        async def attach() -> None:
            async with AsyncDebugClient("127.0.0.1", port) as client:
                await client.threads()

        asyncio.run(attach())
        assert process.stdout.readline() == "RUNNING\n"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
    finally:
        stop_process(process)


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"ASYNCSCOPE_DEBUGPY": "port"}, "expected PORT or HOST:PORT"),
        ({"ASYNCSCOPE_DEBUGPY": "70000"}, "expected PORT or HOST:PORT"),
        ({"ASYNCSCOPE_DEBUGPY": "0", "ASYNCSCOPE_DEBUGPY_WAIT": "perhaps"}, "expected 1 or 0"),
        ({"ASYNCSCOPE_DEBUGPY": "0.0.0.0:0"}, "can be reached by others"),
        ({"ASYNCSCOPE_DEBUGPY": "0", "ASYNCSCOPE_CONFIG": "/none/x.yaml"}, "cannot be read"),
    ],
)
def test_wrong_values_are_said_and_start_nothing(variables: dict[str, str], word: str) -> None:
    lines: list[str] = []
    assert start_from_environment(variables, lines.append) is None
    (line,) = lines
    assert word in line


@pytest.mark.parametrize("value", ["", "off", "no", "false"])
def test_off_is_silent(value: str) -> None:
    lines: list[str] = []
    assert start_from_environment({"ASYNCSCOPE_DEBUGPY": value}, lines.append) is None
    assert lines == []


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-c", "from multiprocessing.resource_tracker import main;main(5)"],
        ["python", "/site/debugpy/adapter", "--for-server", "1"],
        ["python", "/usr/bin/gunicorn", "app:app"],
        ["/usr/bin/python", "-m", "uvicorn", "--reload", "app:app"],
        ["/usr/bin/python", "/venv/bin/uvicorn", "app:app", "--workers=2"],
    ],
)
def test_helpers_and_supervisors_are_passed_over(
    argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", argv)
    lines: list[str] = []
    environ = {"ASYNCSCOPE_DEBUGPY": "0"}
    assert start_from_environment(environ, lines.append, at_loop=False) is None
    assert lines == []


@pytest.mark.parametrize(
    ("argv", "forked", "passed_over"),
    [
        (["python", "/usr/bin/gunicorn", "app:app"], False, True),
        (["python", "/usr/bin/gunicorn", "app:app"], True, False),
        (["python", "/venv/bin/uvicorn", "app:app", "--workers=1"], False, False),
        (["python", "-c", "spawn_main(5)", "--multiprocessing-fork"], False, False),
        (["python", "app.py"], False, False),
    ],
    ids=["gunicorn's master", "its worker", "uvicorn in one process", "spawned", "a program"],
)
def test_process_that_runs_the_application_gets_the_port(
    argv: list[str], forked: bool, passed_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", argv)
    assert startup._is_passed_over(at_loop=True, forked=forked) is passed_over


SIBLING = """
import json, os
from autoinstrument import registry
from autoinstrument.debugger.startup import start_from_environment, start_on_demand
lines = []
exact = start_on_demand(os.environ["ASYNCSCOPE_DEBUGPY"], lines.append)
other = start_from_environment(os.environ, lines.append)
entry = next(e for e in registry.processes() if e["pid"] == os.getpid())
print(json.dumps([exact is None, other.address[1], lines, entry["debug_note"]]))
"""


@pytest.mark.slow
def test_second_process_of_a_user_takes_a_free_port_and_says_who_has_the_other() -> None:
    """A sibling, as the second worker of a server: it does not descend from the port's owner."""
    found = run(
        """
        import json, os, subprocess, sys
        from autoinstrument.debugger.startup import start_from_environment
        own = dict(os.environ, ASYNCSCOPE_DEBUGPY="0")
        port = start_from_environment(own, lambda line: None).address[1]
        done = subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True,
            env=dict(os.environ, ASYNCSCOPE_DEBUGPY=str(port)), check=True)
        print(json.dumps({"sibling": json.loads(done.stdout), "port": port, "pid": os.getpid()}))
        """,
        SIBLING,
    )
    refused, port, lines, noted = found["sibling"]
    assert refused is True
    assert port != found["port"]
    held = f"port {found['port']} is held by process {found['pid']}"
    assert held in lines[0]
    assert f"process {found['pid']} has debug port {found['port']}" in lines[1]
    assert noted == held


def test_addresses() -> None:
    assert parse_address("5678") == ("127.0.0.1", 5678)
    assert parse_address("0.0.0.0:0") == ("0.0.0.0", 0)
    assert parse_address("[::1]:7") == ("::1", 7)
    assert is_loopback("127.0.0.5")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("")
    with pytest.raises(RemoteHostRefused, match="SSH tunnel"):
        DebugpyServer("0.0.0.0", 0).start()


def test_raised_privileges_are_refused_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PrivilegesRefused, match="set-user-id"):
        check_privileges(allow_privileged=False)
    check_privileges(allow_privileged=True)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    check_privileges(allow_privileged=False)
    monkeypatch.setenv("SUDO_UID", "1000")
    with pytest.raises(PrivilegesRefused, match="sudo by user 1000"):
        check_privileges(allow_privileged=False)


def test_port_is_announced_and_withdrawn() -> None:
    entry = announce.Announcement(os.getpid(), "127.0.0.1", 1, "x", 0.0)
    assert announce.announce(entry)
    assert announce.announced() == [entry]
    announce.withdraw()
    assert announce.announced() == []


@pytest.mark.slow
@pytest.mark.asyncio
async def test_manager_launches_finds_connects_and_ends(tmp_path: Path) -> None:
    program = tmp_path / "ticker.py"
    program.write_text(TICKER)
    environ = child_environment(XDG_RUNTIME_DIR=str(tmp_path))
    async with DebugpyServerManager() as manager:
        one, two = await asyncio.gather(
            manager.launch("one", [str(program)], env=environ),
            manager.launch("two", [str(program)], env=environ, wait_for_client=False),
        )
        assert one.port != two.port
        assert {server.pid for server in manager.discover()} == {one.pid, two.pid}
        async with manager.client("one") as first, manager.client(two.pid) as second:
            for client in (first, second):
                names = {task.name for task in await client.async_tasks()}
                assert "ticker" in names
        os.kill(one.pid, signal.SIGKILL)
        await asyncio.sleep(0.2)
        assert manager.status()["one"].state == "stopped"
        assert manager.status()["two"].state == "listening"
        with pytest.raises(DebuggerError, match="no process with a debug port"):
            manager.get("three")
    assert announce.announced() == []


@pytest.mark.slow
@pytest.mark.asyncio
async def test_manager_says_why_a_program_did_not_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = DebugpyConfig(port=taken.getsockname()[1])
        manager = DebugpyServerManager(config)
        with pytest.raises(ServerStartFailed, match="ended with status 1"):
            await manager.launch("x", [str(tmp_path / "x.py")], env=child_environment())
    assert manager.status() == {}
