"""`asyncscope-instrument` with real commands."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.helpers import (
    ROOT,
    SCRIPTS,
    child_environment,
    instrument,
    make_environment,
    run_child,
)

pytestmark = pytest.mark.slow
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="there are no such things there")

SHOW = """
import os, sys
print(os.getpid(), 'autoinstrument._boot' in sys.modules, sys.argv[1:], sep='|')
sys.exit(7)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Write a program that says whether it is watched and ends with status 7."""
    path = tmp_path / "program.py"
    path.write_text(SHOW)
    return path


@posix_only
@pytest.mark.parametrize("shape", ["python", "file", "module", "dashes", "options", "script"])
def test_command_takes_the_process_over(shape: str, program: Path) -> None:
    script = program.with_name("program")
    script.write_text(f"#!{sys.executable}\n{SHOW}")
    script.chmod(0o755)
    command: dict[str, list[str | Path]] = {
        "python": [sys.executable, program],
        "file": [program],
        "module": ["-m", "program"],
        "dashes": ["--quiet", "--", program],
        "options": [sys.executable, "-I", "-X", "utf8", program],
        "script": [script],
    }
    child = instrument(*command[shape], "-m", "--report", cwd=program.parent)
    assert (child.status, child.err) == (7, "")
    assert child.out == f"{child.pid}|True|['-m', '--report']\n"


def test_asyncscope_run_is_the_same(program: Path) -> None:
    child = run_child("-m", "autoinstrument", "run", "--quiet", program, "x")
    assert child.status == 7
    assert child.out.endswith("|True|['x']\n")


def test_options_become_variables(tmp_path: Path) -> None:
    code = (
        "import os, json\n"
        "ours = {k: v for k, v in os.environ.items() if k.startswith('ASYNCSCOPE_')}\n"
        "print(json.dumps(ours, sort_keys=True))"
    )
    options = (
        "--report r.json --exporter console --record rec --detect task_leaked --fail-on any "
        "--config c.yaml --debugpy 0 --debugpy-wait --quiet --set block-ms=300 "
        "--set ASYNCSCOPE_STALL_S=2"
    )
    child = instrument(
        *options.split(),
        *(sys.executable, "-c", code),
        cwd=tmp_path,
        env={"ASYNCSCOPE_REPORT": "other", "ASYNCSCOPE_ROOT_PID": "1"},
    )
    here = os.path.realpath(tmp_path)
    assert (child.status, child.err) == (0, "")
    assert json.loads(child.out) == {
        "ASYNCSCOPE_BLOCK_MS": "300",
        "ASYNCSCOPE_CONFIG": os.path.join(here, "c.yaml"),
        "ASYNCSCOPE_DEBUGPY": "0",
        "ASYNCSCOPE_DEBUGPY_WAIT": "1",
        "ASYNCSCOPE_DETECT": "task_leaked",
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_EXPORTER": "console",
        "ASYNCSCOPE_FAIL_ON": "any",
        "ASYNCSCOPE_QUIET": "1",
        "ASYNCSCOPE_RECORD": os.path.join(here, "rec"),
        "ASYNCSCOPE_REPORT": os.path.join(here, "r.json"),
        "ASYNCSCOPE_STALL_S": "2",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which command? For example: asyncscope-instrument python app.py"),
        (["--"], "which command? For example: asyncscope-instrument python app.py"),
        (["--set", "x", "python"], "expected NAME=VALUE, not 'x'"),
        (["--repo", "x", "python"], "unrecognized arguments: --repo"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], message: str) -> None:
    child = instrument(*arguments)
    assert child.status == 2
    assert message in child.err


def test_missing_command_has_the_status_of_a_shell() -> None:
    child = instrument("no-such-command-anywhere")
    assert child.status == 127
    assert child.err == "asyncscope-instrument: command not found: no-such-command-anywhere\n"


@posix_only
def test_command_of_this_environment_is_found_without_activation() -> None:
    child = instrument("pytest", "--version", env={"PATH": "/usr/bin:/bin"})
    assert child.status == 0
    assert "pytest" in child.out + child.err


@posix_only
def test_script_by_way_of_env_and_long_shebang(program: Path) -> None:
    folder = program.parent / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    lines = {
        "by_env": "#!/usr/bin/env python",
        "by_env_s": "#!/usr/bin/env -S python -E",
        "by_shell": f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''",
    }
    for name, line in lines.items():
        script = folder / name
        script.write_text(f"{line}\n{SHOW}")
        script.chmod(0o755)
        path = f"{SCRIPTS}{os.pathsep}/usr/bin{os.pathsep}/bin"
        child = instrument(script, env={"PATH": path})
        assert (child.status, child.err) == (7, ""), name
        assert child.out == f"{child.pid}|True|[]\n"


@posix_only
def test_python_without_the_agent_is_refused_with_the_command(
    bare_python: Path, program: Path
) -> None:
    script = program.with_name("server")
    script.write_text(f"#!{bare_python}\n{SHOW}")
    script.chmod(0o755)
    for command in ([bare_python, program], [script]):
        child = instrument(*command)
        assert (child.status, child.out) == (2, "")
        assert f"asyncscope is not installed for {bare_python} (" in child.err
        assert f"\n    uv pip install --python {bare_python} asyncscope\n" in child.err
        assert "asyncscope-instrument app.py" in child.err


def test_option_s_is_told(program: Path) -> None:
    child = instrument(sys.executable, "-S", program)
    assert (child.status, child.out) == (2, "")
    assert "python -S runs no start-up files" in child.err


@posix_only
def test_shell_script_is_judged_by_the_python_it_finds(bare_python: Path, program: Path) -> None:
    script = program.with_name("start.sh")
    script.write_text(f"#!/bin/sh\nexec python {shlex.quote(str(program))}\n")
    script.chmod(0o755)
    ours = {"PATH": f"{SCRIPTS}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    child = instrument(script, env=ours)
    assert (child.status, child.err, child.out) == (7, "", f"{child.pid}|True|[]\n")
    other = {"PATH": f"{bare_python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    if not (bare_python.parent / "python").exists():
        (bare_python.parent / "python").symlink_to(bare_python)
    child = instrument(script, env=other)
    assert (child.status, child.out) == (7, f"{child.pid}|False|[]\n")
    assert "cannot tell which Python start.sh runs" in child.err
    assert instrument("--quiet", script, env=other).err == ""


@posix_only
def test_tool_is_started_with_a_note(program: Path) -> None:
    child = instrument(sys.executable, "-m", "pip", "--version")
    assert child.status == 0
    assert "this command is a tool that asyncscope leaves alone" in child.err


@posix_only
def test_signals_are_as_without_the_command() -> None:
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc here")
    command = ["grep", "SigIgn", "/proc/self/status"]
    plain = run_child(*command, python="")
    # Signals 32 and up are the C library's own.
    ignored = [int(c.out.split()[1], 16) & 0x7FFFFFFF for c in (plain, instrument(*command))]
    assert ignored[0] == ignored[1]


@posix_only
def test_killed_command_is_killed() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert instrument(sys.executable, "-c", code).status == -signal.SIGTERM


@posix_only
def test_package_on_pythonpath_starts_and_the_own_sitecustomize_runs(
    bare_python: Path, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "env", dependencies=True)
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys; sys.own_sitecustomize = __file__\n")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, subprocess, sys, sitecustomize\n"
        "print('autoinstrument._boot' in sys.modules, sys.own_sitecustomize)\n"
        "print(sitecustomize.__file__, [p for p in sys.path if 'chained' in p])\n"
        "show = 'import os; print(os.environ.get(\"PYTHONPATH\"))'\n"
        "for other in (sys.executable, sys.argv[1]):\n"
        "    done = subprocess.run([other, '-c', show], capture_output=True, text=True)\n"
        "    print(done.stdout + done.stderr, end='')\n"
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "autoinstrument").symlink_to(ROOT / "autoinstrument")
    path = os.pathsep.join([str(own), str(tmp_path / "lib")])
    child = instrument(python, program, bare_python, env={"PYTHONPATH": path})
    assert (child.status, child.err) == (0, "")
    chained = tmp_path / "lib" / "autoinstrument" / "_boot" / "chained"
    theirs = own / "sitecustomize.py"
    assert child.out.splitlines() == [
        f"True {theirs}",
        f"{theirs} []",
        f"{chained}{os.pathsep}{path}",  # children of the same environment are watched, too
        f"{chained}{os.pathsep}{path}",  # this one has the package by PYTHONPATH as well
    ]


@posix_only
def test_chained_folder_leaves_other_pythons_alone(bare_python: Path, tmp_path: Path) -> None:
    chained = ROOT / "autoinstrument" / "_boot" / "chained"
    (tmp_path / "sitecustomize.py").write_text("print('own ran')\n")
    code = (
        "import os, sys; print(os.environ.get('PYTHONPATH'), 'autoinstrument' in sys.modules, "
        "[p for p in sys.path if '_boot' in p])"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "PYTHONPATH": f"{chained}{os.pathsep}{tmp_path}"}
    child = run_child("-c", code, python=bare_python, env=env)
    assert (child.status, child.err) == (0, "")
    assert child.out == f"own ran\n{tmp_path} False []\n"
    env["PYTHONPATH"] = str(chained)
    child = run_child("-c", code, python=bare_python, env=env)
    assert (child.out, child.err) == ("None False []\n", "")


def test_error_in_own_sitecustomize_is_reported_as_without_us(tmp_path: Path) -> None:
    chained = ROOT / "autoinstrument" / "_boot" / "chained"
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('broken')\n")
    plain = run_child("-c", "print(1)", env={"PYTHONPATH": str(tmp_path)})
    path = f"{chained}{os.pathsep}{tmp_path}"
    ours = run_child("-c", "print(1)", env={"PYTHONPATH": path, "ASYNCSCOPE_ENABLE": "1"})
    assert (ours.status, ours.out, ours.err) == (plain.status, plain.out, plain.err)
    assert "broken" in plain.err


@posix_only
def test_pytest_runs_watched(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert 'autoinstrument._boot' in sys.modules\n"
    )
    child = instrument(
        "--quiet",
        SCRIPTS / "pytest",
        "-q",
        *("-p", "no:cacheprovider", "-p", "no:asyncio"),
        tmp_path,
    )
    assert (child.status, child.err) == (0, "")
    assert "1 passed" in child.out


SERVED = """
import os, sys
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = f"{os.getpid()} {'autoinstrument.agent' in sys.modules}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
def wsgi(environ, start_response):
    start_response("200 OK", [])
    import asyncio
    return [f"{os.getppid()} {'autoinstrument.agent' in sys.modules}".encode()]
"""


@posix_only
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_server_is_watched_and_ends_by_sigint(server: str, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = {
        "uvicorn": ["uvicorn", "served:app", "--port", str(port)],
        "gunicorn": ["gunicorn", "served:wsgi", "--bind", f"127.0.0.1:{port}"],
    }[server]
    command[0] = str(SCRIPTS / command[0])
    process = subprocess.Popen(
        [SCRIPTS / "asyncscope-instrument", "--quiet", *command],
        cwd=tmp_path,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert answer_of(f"http://127.0.0.1:{port}/", process) == f"{process.pid} True"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert process.returncode in {0, -signal.SIGINT}, out
    finally:
        process.kill()
        process.communicate()


def answer_of(url: str, process: subprocess.Popen[str]) -> str:
    """Ask until the server answers; fail when it has ended or after 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"no answer; status {process.poll()}")
