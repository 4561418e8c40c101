"""What is opened, to whom, and what is written down; `docs/security.md` makes these promises."""

import ast
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstrument import arguments
from autoinstrument.arguments import redacted
from autoinstrument.export import console
from tests.helpers import ROOT, run_child
from tests.robustness.watched import said, write

SECRETS: dict[str, tuple[list[Any], str]] = {
    "option": (["app.py", "--password=hunter2"], "hunter2"),
    "next word": (["app.py", "--api-key", "abcdef"], "abcdef"),
    "next word that looks harmless": (["app.py", "--token", "serve"], "serve"),
    "variable": (["app.py", "DB_PASSWORD=letmein"], "letmein"),
    "address with a user": (["app.py", "postgresql://app:hunter2@db/x"], "hunter2"),
    "key of a provider": (["app.py", "sk-proj-4fJ8sK2l"], "sk-proj"),
    "web token": (["app.py", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"], "eyJ"),
    "hexadecimal": (["app.py", "9f86d081884c7d659a2feaa0c55ad015"], "9f86"),
    "bearer": (["app.py", "-H", "Authorization: Bearer abc"], "Bearer"),
    "header option": (["app.py", "--header=X-Auth-Token: abc"], "abc"),
    "short option": (["app.py", "-psecret1"], "secret1"),
    "card number": (["app.py", "4111111111111111"], "4111"),
    "code": (["-c", "import app; app.run(password='hunter2')"], "hunter2"),
    "bytes": (["app.py", b"hunter2"], "hunter2"),
    "upper case": (["app.py", "--AUTH=abc"], "abc"),
    "with dash after": (["app.py", "--secret", "-abc"], "-abcd"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secret_of_the_command_line_is_left_out(name: str) -> None:
    argv, secret = SECRETS[name]
    shown = redacted(argv)
    assert secret not in " ".join(shown)
    assert len(shown) == len(argv)
    assert shown[0] == argv[0]


@pytest.mark.parametrize(
    "argv",
    [
        ["app.py"],
        ["uvicorn", "app:app", "--port", "8000", "--reload"],
        ["uvicorn", "service.main:make_app()", "--host=127.0.0.1:80", "--log-level=debug"],
        ["gunicorn", "-w", "4", "-b", "127.0.0.1:8000", "app:app"],
        ["pytest", "-q", __file__, "--"],
        [],
    ],
    ids=lambda argv: " ".join(map(os.path.basename, argv)),
)
def test_harmless_command_line_is_shown(argv: list[str]) -> None:
    assert redacted(argv) == argv


def test_long_command_line_is_cut() -> None:
    shown = redacted(["app.py", *["x"] * 1000])
    assert (len(shown), shown[-1]) == (arguments._MOST_ARGUMENTS + 1, "... 901 more")


# -- a program full of secrets -----------------------------------------------------------------

SECRET = "s3cr3t-value"
LEAKY = f"""
import asyncio, contextvars, os, sys

variable = contextvars.ContextVar("variable")

class Secretive:
    def __repr__(self): return os.environ["APP_SECRET"]
    __str__ = __repr__

async def holds(lock, password):
    variable.set(password)
    await lock.acquire()
    own = password + "!"
    await asyncio.sleep(1.2)
    raise ValueError(password)

async def wants(lock, secretive):
    await lock.acquire()

async def main():
    lock, password = asyncio.Lock(), os.environ["APP_SECRET"]
    calls = holds(lock, password), wants(lock, Secretive())
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(lambda loop, facts: None)
    await asyncio.wait(tasks, timeout=1.5)
    lock.release()
    del tasks

assert os.environ["APP_SECRET"] == {SECRET!r}
asyncio.run(main())
"""


@pytest.mark.slow
def test_no_value_of_the_program_is_written_down(tmp_path: Path) -> None:
    """Arguments, locals, context variables, texts of exceptions, environment, command line."""
    path = write(tmp_path, LEAKY)
    out = tmp_path / "out"
    out.mkdir()
    settings = {
        "ENABLE": "1",
        "REPORT": "report.json",
        "RECORD": "run.jsonl",
        "EXPORTER": "file,console",
        "FILE": "spans.jsonl",
        "STATS_FILE": "counters.json",
        "STALL_S": "0.2",
    }
    env = {f"ASYNCSCOPE_{name}": value for name, value in settings.items()}
    child = run_child(path, f"--key={SECRET}", SECRET, env=env | {"APP_SECRET": SECRET}, cwd=out)
    assert child.status == 0
    written = {path.name: path.read_text() for path in out.iterdir()}
    expected = {"report.json", "run.jsonl", "spans.jsonl", "counters.json"}
    assert expected <= set(written)
    assert json.loads(written["report.json"])["findings"]
    for name, text in {**written, "stderr": child.err}.items():
        assert SECRET not in text, name
    if os.name == "posix":
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
        assert set(modes.values()) == {0o600}, modes


@pytest.mark.slow
def test_nothing_is_opened_that_was_not_asked_for(tmp_path: Path) -> None:
    """No socket, no connection, and no file but the entry for `asyncscope ps`."""
    path = write(
        tmp_path,
        "import asyncio, os, sys\n"
        "opened = []\n"
        "def audit(event, facts):\n"
        "    if event.startswith('socket.') and event != 'socket.__new__':\n"
        "        opened.append((event, *map(str, facts[1:])))\n"
        "    writing = os.O_WRONLY | os.O_RDWR\n"
        "    if event == 'open' and isinstance(facts[2], int) and facts[2] & writing:\n"
        "        opened.append((event, str(facts[0])))\n"
        "sys.addaudithook(audit)\n"
        "asyncio.run(asyncio.sleep(1.2))\n"
        "print(opened)\n",
    )
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    child = run_child(path, env=env, cwd=tmp_path)
    opened = ast.literal_eval(child.out)
    assert [one for one in opened if str(runtime) not in one[-1]] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "", "example.org"])
def test_debug_port_for_other_machines_is_refused(tmp_path: Path, host: str) -> None:
    from autoinstrument.debugger.errors import RemoteHostRefused
    from autoinstrument.debugger.security import check_host

    with pytest.raises(RemoteHostRefused, match="can be reached by others"):
        check_host(host, allow_remote=False)


@pytest.mark.slow
def test_debug_port_for_other_machines_needs_the_variable_and_warns(tmp_path: Path) -> None:
    path = write(tmp_path, "import asyncio\nasyncio.run(asyncio.sleep(0))\nprint('done')\n")
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_DEBUGPY": "0.0.0.0:0"}
    refused = run_child(path, env=env, cwd=tmp_path)
    assert (refused.status, refused.out) == (0, "done\n")
    assert any("can be reached by others" in line for line in said(refused.err))
    allowed = run_child(path, env=env | {"ASYNCSCOPE_DEBUGPY_ALLOW_REMOTE": "1"}, cwd=tmp_path)
    assert (allowed.status, allowed.out) == (0, "done\n")
    lines = [line for line in said(allowed.err) if "0.0.0.0" in line]
    assert lines
    assert any("everybody who reaches 0.0.0.0:" in line for line in lines)


def test_hostile_names_cannot_steer_a_terminal() -> None:
    assert console.plain("\x1b]0;owned\x07 ok\r\n") == "�]0;owned� ok��"


def test_start_up_line_can_be_read_by_anybody() -> None:
    """One line, no encoding tricks, nothing but a look at one variable before our own code."""
    (line,) = (ROOT / "asyncscope_hook.pth").read_text("utf-8").splitlines()
    assert line.isascii()
    assert len(line) < 150
    tree = ast.parse(line)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert names == {"os", "__import__"}
    assert constants == {"ASYNCSCOPE_ENABLE", "autoinstrument._boot", "start"}


RUNS_DATA = {
    ("hooks/weaving.py", "compile"),  # a library's own source, refused unless it is what runs
    ("hooks/woven_cache.py", "marshal"),  # a file that only this user or root can write
    ("debugger/breakpoints.py", "compile"),  # conditions that the debugging user writes
    ("debugger/current.py", "eval"),
}


def test_data_is_run_in_known_places_only() -> None:
    """`eval`, `exec`, `compile`, unpickling and shells: each place has a reason."""
    found: set[tuple[str, str]] = set()
    for path in (ROOT / "autoinstrument").rglob("*.py"):
        name = path.relative_to(ROOT / "autoinstrument").as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found |= {(name, what) for what in _running_data(node)}
    assert found == RUNS_DATA


def _running_data(node: ast.AST) -> set[str]:
    """Return what in a node of a syntax tree runs data, or may."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return {node.func.id} & {"eval", "exec", "compile"}
    if isinstance(node, ast.keyword):
        return {node.arg or ""} & {"shell"}
    if isinstance(node, ast.Import):
        return {item.name for item in node.names} & {"pickle", "marshal", "shelve"}
    return set()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_no_port_listens(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "import asyncio, os\nasyncio.run(asyncio.sleep(0.3))\n"
        "print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')\n"
        "       if os.path.exists(f'/proc/self/fd/{n}')])\n",
    )
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1"}, cwd=tmp_path)
    assert "socket:" not in child.out
