"""`asyncscope doctor`: is the agent in place, what does it patch, what is in its way?"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from autoinstrument import __version__, registry
from autoinstrument._boot import ENABLE, OFF, ON
from autoinstrument.cli.probe import OLDEST, Interpreter, probe
from autoinstrument.config.load import load
from autoinstrument.config.schema import settings
from autoinstrument.config_file import file_section

SUMMARY = "Check whether programs of this environment are watched, and by which hooks"
TIMEOUT_S: Final = 60
PREFIX: Final = "ASYNCSCOPE_"
# Variables that are no settings of the running agent.
OF_START_UP: Final = frozenset(
    {
        ENABLE,
        "ASYNCSCOPE_CONFIG",
        "ASYNCSCOPE_DEBUGPY_ALLOW_PRIVILEGED",
        "ASYNCSCOPE_DEBUGPY_ALLOW_REMOTE",
        "ASYNCSCOPE_DEBUGPY_OWNER",
        "ASYNCSCOPE_DEBUGPY_WAIT",
        "ASYNCSCOPE_ROOT_PID",
    }
)
IN_CHILD: Final = (
    "import sys; loaded = frozenset(sys.modules)\n"
    "from autoinstrument.cli.facts import main; main(loaded)"
)
MARKS: Final = {True: "ok", False: "!!", None: "--"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer."""

    good: bool | None
    """`False` makes the exit status 1; `None` is for information."""
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Exit status: 0 if all is well, 1 if something does not work."
    parser.add_argument(
        "--python", metavar="PATH", default=sys.executable, help="the Python to look at"
    )
    parser.add_argument("--hooks", action="store_true", help="list every hook, not only their sum")


def run(options: argparse.Namespace) -> int:
    """Print one line for each thing that was checked."""
    checks = list(examine(options.python, os.environ, every_hook=options.hooks))
    for check in checks:
        print(f"[{MARKS[check.good]}] {check.text}")
    return 1 if any(check.good is False for check in checks) else 0


def examine(python: str, environ: Mapping[str, str], *, every_hook: bool) -> Iterator[Check]:
    """Yield the checks of one interpreter."""
    executable = shutil.which(python) or python
    interpreter = probe([executable], environ)
    if interpreter is None:
        yield Check(False, f"{python} is not a Python that can be started")
        return
    yield Check(interpreter.version >= OLDEST, f"Python: {interpreter.name}")
    if interpreter.package is None or interpreter.version < OLDEST:
        yield Check(False, f"asyncscope is not installed there: {interpreter.install_command}")
        return
    try:
        facts = ask(interpreter, environ)
    except (subprocess.SubprocessError, ValueError, LookupError) as exc:
        yield Check(False, f"the agent does not start: {_last_line(exc)}")
    else:
        yield from _installation(facts, interpreter)
        yield from _hooks(facts, every_hook=every_hook)
        yield from _surroundings(facts)
    yield check_registry()
    yield from check_settings(environ)


def check_registry() -> Check:
    """Return whether `asyncscope ps` and `asyncscope debug` can work here."""
    reason = registry.problem()
    if reason:
        return Check(None, f"asyncscope ps and debug do not work here: {reason}")
    return Check(True, f"watched processes are listed in {registry.own_folder()}")


def ask(interpreter: Interpreter, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts that a child process of that Python finds; see `cli/facts.py`.

    Raises:
        subprocess.SubprocessError: it failed or took too long.
        ValueError: it printed something else.
    """
    env = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    env |= {ENABLE: "1", "ASYNCSCOPE_QUIET": "1", "ASYNCSCOPE_EXPORTER": "none"}
    done = subprocess.run(
        [interpreter.executable, "-P", "-c", IN_CHILD],  # -P: not the checkout in this folder
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def _last_line(exc: Exception) -> str:
    printed = (getattr(exc, "stderr", None) or "").strip()
    return printed.splitlines()[-1] if printed else str(exc)


def _installation(facts: dict[str, Any], interpreter: Interpreter) -> Iterator[Check]:
    same = facts["version"] == __version__
    other = "" if same else f" (this command is of {__version__})"
    yield Check(same, f"asyncscope: {facts['version']} in {facts['package']}{other}")
    if facts["hooked"]:
        file = facts["hook_file"]
        how = file or "through PYTHONPATH, as asyncscope-instrument arranges it"
        yield Check(True, f"start-up: programs with {ENABLE}=1 are watched ({how})")
    else:
        yield Check(
            False,
            f"start-up: {ENABLE}=1 has no effect, no start-up line ran; "
            f"use asyncscope-instrument, or install again: {interpreter.install_command}",
        )


def _hooks(facts: dict[str, Any], *, every_hook: bool) -> Iterator[Check]:
    status = facts["status"]
    hooks = status["hooks"]
    counted = Counter(hook["state"] for hook in hooks)
    total = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
    yield Check(bool(status["installed"]), f"hooks: {total or 'none'}")
    for hook in hooks:
        if hook["state"] == "off" or every_hook:
            detail = f" ({hook['detail']})" if hook["detail"] else ""
            good = None if hook["state"] != "off" else False
            yield Check(good, f"    {hook['name']}: {hook['target']} {hook['state']}{detail}")


def _surroundings(facts: dict[str, Any]) -> Iterator[Check]:
    libraries = {name: found for name, found in facts["libraries"].items() if found}
    listed = ", ".join(f"{name} {found}" for name, found in libraries.items())
    yield Check(None, f"libraries with hooks of their own: {listed or 'none installed'}")
    for extra, found in facts["extras"].items():
        yield Check(None, f"extra {extra}: {found or f'pip install asyncscope[{extra}]'}")
    for line in facts["others"]:
        yield Check(None, f"others: {line}")


def check_settings(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield a check for each variable of ours in the environment, good or not."""
    ours = {name: environ[name] for name in sorted(environ) if name.startswith(PREFIX)}
    value = ours.get(ENABLE, "").strip().lower()
    if value not in ON + OFF:
        yield Check(False, f"setting {ENABLE}={ours[ENABLE]!r} is none of {'/'.join(ON + OFF[1:])}")
    section, source, trouble = file_section(environ)
    _, problems = load(environ, section, source)
    for problem in (*trouble, *problems):
        yield Check(False, f"setting {problem}")
    known = OF_START_UP | {setting.variable for setting in settings()}
    for name, text in ours.items():
        if name not in known:
            yield Check(False, f"setting {name} is unknown")
        elif not any(problem.startswith(f"{name}=") for problem in problems) and name != ENABLE:
            yield Check(None, f"setting {name}={text}")
    otel = [name for name in sorted(environ) if name.startswith("OTEL_")]
    if otel:  # names only: headers carry tokens
        yield Check(None, f"settings of OpenTelemetry: {', '.join(otel)}")
