"""What several tests need: child processes with a clean environment, and environments."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True)
class Child:
    """How a child process ended and what it printed."""

    pid: int
    status: int
    out: str
    err: str


def child_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without the variables that would change a Python or the agent."""
    unwanted = ("ASYNCSCOPE_", "OTEL_", "PYTHON", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    env.pop("VIRTUAL_ENV", None)
    return env | dict(changes or {})


def run_child(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60,
    python: str | Path | None = None,
) -> Child:
    """Run a Python (this one by default) with arguments, or any command with `python=""`."""
    words = [str(word) for word in command]
    if python != "":
        words = [str(python or sys.executable), *words]
    with subprocess.Popen(
        words,
        env=child_environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Child(process.pid, process.returncode, out, err)


def instrument(*command: str | Path, **options: object) -> Child:
    """Run `asyncscope-instrument` as installed beside this Python."""
    return run_child(SCRIPTS / "asyncscope-instrument", *command, python="", **options)  # type: ignore[arg-type]  # handed on


def make_environment(folder: Path, *, dependencies: bool) -> Path:
    """Make a virtual environment without pip and return its Python.

    With `dependencies` it can import what is installed here, but runs no start-up line of it.
    """
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / Path(base).name
    if dependencies:
        site = run_child(
            "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", python=python
        ).out.strip()
        Path(site, "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def pip(python: Path, *arguments: str | Path) -> str:
    """Run this environment's pip upon another one, without an index; return its output."""
    done: Sequence[str | Path] = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python),
        *arguments,
    ]
    return subprocess.run(
        done, check=True, capture_output=True, text=True, timeout=120, env=child_environment()
    ).stdout
