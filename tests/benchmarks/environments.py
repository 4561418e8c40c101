"""Environments of the measured programs: without the agent, with it, and with other tools.

They are virtual environments without pip that see the packages of a given interpreter through a
`.pth` line; lines of *its* `.pth` files are not run, so that an editable install there has no
effect. The agent is copied into one of them as a wheel would put it there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(
    os.environ.get("ASYNCSCOPE_BENCHMARKS_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "asyncscope-benchmarks")
).expanduser()
_OLD_S = 86_400.0
_ASK = "import sys, sysconfig; print(sys.executable, sysconfig.get_path('purelib'), sep='\\n')"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what changes a Python, the agent or a tool."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {"PYTHONHASHSEED": "0", "XDG_CACHE_HOME": str(CACHE / "caches")}


def _answer(python: Path, code: str) -> list[str]:
    done = subprocess.run(
        [python, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
    )
    return done.stdout.splitlines()


class Environments:
    """Environments around one interpreter that has the packages of the `test` group."""

    def __init__(self, python: Path) -> None:
        """Ask the interpreter where its packages are."""
        executable, self._packages = _answer(python, _ASK)
        self._python = Path(executable)
        key = hashlib.sha256(executable.encode()).hexdigest()[:12]
        self._folder = CACHE / key
        CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)

    def version(self) -> str:
        """Return the interpreter's version, such as 3.13.0."""
        return _answer(self._python, "import platform; print(platform.python_version())")[0]

    def versions(self, *packages: str) -> list[str]:
        """Return `name version` of packages that programs see."""
        code = (
            "from importlib.metadata import version\n"
            f"for name in {packages!r}: print(name, version(name))"
        )
        return _answer(self._python, code)

    def bare(self) -> Path:
        """Return the Python of the environment without the agent."""
        return self._made("bare")

    def with_agent(self, checkout: Path = ROOT) -> Path:
        """Return the Python of an environment with a copy of the agent of a checkout.

        It is never changed, since another run may use it at the same time: a changed agent gets
        another one, and those that were made a day ago or earlier go away.
        """
        name = f"agent-{_digest(checkout)}"
        for old in self._folder.glob("agent-*"):
            if old.name != name and time.time() - old.stat().st_mtime > _OLD_S:
                shutil.rmtree(old, ignore_errors=True)
        return self._made(name, checkout)

    def _put_agent(self, python: Path, checkout: Path) -> None:
        packages = Path(_answer(python, _ASK)[1])
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(checkout / "autoinstrument", packages / "autoinstrument", ignore=unwanted)
        shutil.copy(checkout / "asyncscope_hook.pth", packages)
        subprocess.run(
            [python, "-m", "compileall", "-q", packages / "autoinstrument"],
            check=True,
            env=clean_environment(),
            timeout=120,
        )

    def with_packages(self, name: str, packages: tuple[str, ...]) -> Path:
        """Return the Python of an environment with further packages.

        They are installed by this process's pip from the configured index and kept.

        Raises:
            RuntimeError: they cannot be installed; the message is pip's last line.
        """
        python = self._made(f"peer-{name}")
        stamp = python.parent.parent / "installed"
        if stamp.exists() and stamp.read_text() == repr(packages):
            return python
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--python",
            python,
        ]
        command += ["install", "--quiet", *packages]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        stamp.write_text(repr(packages))
        return python

    def _made(self, name: str, checkout: Path | None = None) -> Path:
        """Return the Python of an environment, which appears whole or not at all."""
        folder = self._folder / name
        inside = Path("Scripts" if sys.platform == "win32" else "bin", "python")
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix="new-", dir=self._folder))
            command: list[str | Path] = [self._python, "-m", "venv", "--without-pip", new]
            subprocess.run(command, check=True, timeout=120, env=clean_environment())
            own = Path(_answer(new / inside, _ASK)[1])
            (own / "dependencies.pth").write_text(self._packages + "\n")
            if checkout is not None:
                self._put_agent(new / inside, checkout)
            (new / "ready").touch()
            try:
                new.rename(folder)
            except OSError:  # another run was faster
                shutil.rmtree(new)
        return folder / inside


def _digest(checkout: Path) -> str:
    """Return a name for the content of a checkout's agent."""
    found = hashlib.sha256((checkout / "asyncscope_hook.pth").read_bytes())
    for path in sorted((checkout / "autoinstrument").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]
