"""The start-up line in real processes of this environment, which has the project installed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Child, run_child

pytestmark = pytest.mark.slow

ON = {"ASYNCSCOPE_ENABLE": "1"}
BOOT = {
    "autoinstrument",
    "autoinstrument._boot",
    "autoinstrument._boot.import_hook",
    "autoinstrument._boot.process",
    "autoinstrument._boot.say",
}
LIST_MODULES = "import sys; names = sorted(sys.modules); import json; print(json.dumps(names))"
# Stands where the agent would be imported from, and notes how it was called.
FAKE_AGENT = """
import sys, types
calls = []
agent = types.ModuleType("autoinstrument.agent")
agent.asyncio_imported = calls.append
sys.modules["autoinstrument.agent"] = agent
import autoinstrument
autoinstrument.agent = agent
"""


def answer(child: Child) -> Any:
    """Return the JSON that a child printed, having ended well and in silence."""
    assert (child.status, child.err) == (0, "")
    return json.loads(child.out)


def modules_of_ours(env: dict[str, str], *options: str) -> set[str]:
    names = answer(run_child(*options, "-c", LIST_MODULES, env=env))
    return {name for name in names if name.partition(".")[0] == "autoinstrument"}


@pytest.mark.parametrize("env", [{}, {"ASYNCSCOPE_ENABLE": ""}], ids=["unset", "empty"])
def test_nothing_is_imported_when_off(env: dict[str, str]) -> None:
    assert modules_of_ours(env) == set()


def test_only_start_up_modules_are_imported_before_asyncio() -> None:
    without = set(answer(run_child("-c", LIST_MODULES)))
    with_agent = set(answer(run_child("-c", LIST_MODULES, env=ON)))
    assert with_agent - without == BOOT


@pytest.mark.parametrize("value", ["0", "false", "No", "off", " OFF "])
def test_off_values_leave_no_finder(value: str) -> None:
    code = "import sys; print([type(f).__module__ for f in sys.meta_path])"
    child = run_child("-c", code, env={"ASYNCSCOPE_ENABLE": value})
    assert (child.status, child.err) == (0, "")
    assert "autoinstrument" not in child.out


@pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
def test_on_values_start_the_agent_with_asyncio(value: str) -> None:
    code = "import asyncio, sys; print(int('autoinstrument.agent' in sys.modules))"
    assert answer(run_child("-c", code, env={"ASYNCSCOPE_ENABLE": value})) == 1


def test_wrong_value_is_one_line_and_off() -> None:
    code = "import asyncio, sys; print('autoinstrument.agent' in sys.modules)"
    child = run_child("-c", code, env={"ASYNCSCOPE_ENABLE": "maybe"})
    assert (child.status, child.out) == (0, "False\n")
    assert child.err == (
        "asyncscope: ASYNCSCOPE_ENABLE='maybe' is not one of 1/true/yes/on or 0/false/no/off; "
        "staying off\n"
    )


def test_wrong_value_is_silent_when_quiet() -> None:
    child = run_child("-c", "", env={"ASYNCSCOPE_ENABLE": "maybe", "ASYNCSCOPE_QUIET": "1"})
    assert (child.status, child.out, child.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "started"),
    [(["-I"], True), (["-E"], True), (["-s"], True), (["-P"], True), (["-S"], False)],
    ids=["I", "E", "s", "P", "S"],
)
def test_interpreter_options(options: Sequence[str], *, started: bool) -> None:
    assert modules_of_ours(ON, *options) == (BOOT if started else set())


def test_agent_is_called_once_with_the_complete_module() -> None:
    code = FAKE_AGENT + (
        "import autoinstrument._boot as boot\n"
        "boot.start(); boot.start()\n"
        "import asyncio, importlib\n"
        "boot.start(); importlib.reload(asyncio)\n"
        "print(int(calls == [asyncio] and hasattr(asyncio, 'run')))\n"
    )
    assert answer(run_child("-c", code, env=ON)) == 1


def test_agent_is_called_at_once_if_asyncio_is_there() -> None:
    code = (
        "import asyncio\n"
        + FAKE_AGENT
        + (
            "import os; os.environ['ASYNCSCOPE_ENABLE'] = '1'\n"
            "from autoinstrument._boot import start\n"
            "before = list(calls); start(); print(int(before == [] and calls == [asyncio]))\n"
        )
    )
    assert answer(run_child("-c", code)) == 1


def test_failing_agent_is_one_line_and_the_program_runs() -> None:
    code = FAKE_AGENT + (
        "del agent.asyncio_imported\n"
        "import asyncio\n"
        "async def main(): print('ran')\n"
        "asyncio.run(main())\n"
    )
    child = run_child("-c", code, env=ON)
    assert (child.status, child.out) == (0, "ran\n")
    assert child.err.startswith("asyncscope: could not start after the import of asyncio (")
    assert child.err.count("\n") == 1


def test_asyncio_keeps_its_own_loader() -> None:
    code = (
        "import asyncio\n"
        "print(type(asyncio.__loader__).__name__, asyncio.__spec__.loader is asyncio.__loader__)"
    )
    assert run_child("-c", code, env=ON).out == run_child("-c", code).out


def test_program_that_never_uses_asyncio_gets_no_thread() -> None:
    code = "import threading, sys; print(int('asyncio' in sys.modules), threading.active_count())"
    assert run_child("-c", code, env=ON).out == "0 1\n"


def test_tools_are_not_watched() -> None:
    code = LIST_MODULES + "  # multiprocessing.resource_tracker"
    assert modules_of_ours(ON) == BOOT
    names = set(answer(run_child("-c", code, env=ON)))
    assert "autoinstrument._boot.import_hook" in names
    finder = "import sys; print([type(f).__module__ for f in sys.meta_path]) # build_meta"
    assert "autoinstrument" not in run_child("-c", finder, env=ON).out


def test_spawned_process_is_watched_and_its_tracker_unharmed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, sys\n"
        "def child(queue):\n"
        "    queue.put('autoinstrument._boot' in sys.modules)\n"
        "if __name__ == '__main__':\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    queue = spawn.Queue()\n"
        "    process = spawn.Process(target=child, args=(queue,))\n"
        "    process.start()\n"
        "    print(queue.get(timeout=30)); process.join(30); sys.exit(process.exitcode)\n"
    )
    child = run_child(program, env=ON | {"ASYNCSCOPE_QUIET": "1"})
    assert (child.status, child.out, child.err) == (0, "True\n", "")


def test_subprocess_of_a_python_without_the_agent_is_untouched(bare_python: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "done = subprocess.run([sys.argv[1], '-c', 'import asyncio, sys;"
        " print(len(sys.meta_path))'], capture_output=True, text=True)\n"
        "print(done.returncode, done.stdout, done.stderr)"
    )
    with_agent = run_child("-c", code, bare_python, env=ON)
    assert with_agent.out == run_child("-c", code, bare_python).out
    assert with_agent.out.startswith("0 ")


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import autoinstrument\n"
        "added = sorted(set(sys.modules) - before); import json; print(json.dumps(added))"
    )
    assert answer(run_child("-S", "-c", code, cwd=Path(__file__).parents[2])) == ["autoinstrument"]


@pytest.mark.skipif(sys.platform == "win32", reason="asks for file descriptors")
def test_closed_stderr_does_no_harm() -> None:
    code = f"{sys.executable} -c 'print(1)' 2>&-"
    child = run_child("sh", "-c", code, python="", env={"ASYNCSCOPE_ENABLE": "maybe"})
    assert (child.status, child.out) == (0, "1\n")
