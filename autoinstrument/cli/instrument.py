"""`asyncscope-instrument COMMAND`: start a command with the agent switched on.

The command takes this process over: same process id, terminal, signals and exit status.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from autoinstrument.cli.access import Refusal, grant_access
from autoinstrument.cli.target import CommandNotFoundError, Target, command_target, module_target

SUMMARY = "Start a command with asyncscope switched on"
EPILOG = """\
The command is what you would type without asyncscope:

  asyncscope-instrument python app.py
  asyncscope-instrument app.py
  asyncscope-instrument -m mypackage.server --port 8080
  asyncscope-instrument --report report.json uvicorn app:app
  asyncscope-instrument --fail-on any pytest
  asyncscope-instrument ./start.sh

A Python file and -m MODULE are run by the Python of asyncscope-instrument itself. Options
overrule the environment variables of the same meaning. Exit status: the command's own; 2 if
its Python cannot be watched, 127 if there is no such command.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; everything from the command on belongs to the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--report", metavar="PATH", help="write the JSON report to PATH at exit")
    add(
        "--exporter",
        metavar="NAMES",
        help="where spans go: auto, otlp, file, console, provider, none; several with commas",
    )
    add("--record", metavar="PATH", help="write a recording to PATH")
    add("--detect", metavar="KINDS", help="look for these kinds of finding only; -KIND omits one")
    add("--fail-on", metavar="KINDS", help="turn exit status 0 into 3 on these kinds, or on any")
    add("--config", metavar="PATH", help="read settings from this file")
    add("--debugpy", metavar="[HOST:]PORT", help="let an IDE attach; port 0 picks a free one")
    add("--debugpy-wait", action="store_true", help="wait until the IDE has attached")
    add("--quiet", action="store_true", help="print nothing to stderr")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_setting,
        help="any other setting: --set block_ms=100 is ASYNCSCOPE_BLOCK_MS=100",
    )
    add("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE ...", help="run a module")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="the command to run")
    parser.set_defaults(usage_error=parser.error)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `asyncscope-instrument`; returns only if the command could not be started."""
    parser = argparse.ArgumentParser(
        prog="asyncscope-instrument", description=SUMMARY + ".", allow_abbrev=False
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(options: argparse.Namespace) -> int:
    """Replace this process by the command; return an exit status if that is not possible."""
    command = options.module or options.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        options.usage_error("which command? For example: asyncscope-instrument python app.py")
    environ = {**os.environ, **settings(options)}
    environ.pop("ASYNCSCOPE_ROOT_PID", None)  # the command is the first process of a new run
    try:
        if options.module:
            target = module_target(command)
        else:
            target = command_target(command, environ.get("PATH"))
        note = grant_access(target, environ)
    except CommandNotFoundError as exc:
        _say(str(exc))
        return 127
    except Refusal as exc:
        _say(str(exc))
        return 2
    if note and not options.quiet:
        _say(note)
    return _become(target, environ)


def settings(options: argparse.Namespace) -> dict[str, str]:
    """Return the environment variables that the options stand for."""
    values = {
        "REPORT": options.report and os.path.abspath(options.report),
        "EXPORTER": options.exporter,
        "RECORD": options.record and os.path.abspath(options.record),
        "DETECT": options.detect,
        "FAIL_ON": options.fail_on,
        "CONFIG": options.config and os.path.abspath(options.config),
        "DEBUGPY": options.debugpy,
        "DEBUGPY_WAIT": "1" if options.debugpy_wait else None,
        "QUIET": "1" if options.quiet else None,
        **dict(options.set),
        "ENABLE": "1",
    }
    return {f"ASYNCSCOPE_{name}": value for name, value in values.items() if value is not None}


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name.upper().replace("-", "_").removeprefix("ASYNCSCOPE_"), value


def _say(message: str) -> None:
    print(f"asyncscope-instrument: {message}", file=sys.stderr)


def _become(target: Target, environ: dict[str, str]) -> int:
    """Run the target in place of this process. Returns on Windows, or if it cannot be run."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if sys.platform == "win32":  # its exec returns to the shell at once
            return _run_child(target, environ)
        _replace_process(target, environ)
    except OSError as exc:
        _say(f"cannot run {target.executable}: {exc.strerror}")
        return 126


def _run_child(target: Target, environ: dict[str, str]) -> int:
    with subprocess.Popen(target.argv, executable=target.executable, env=environ) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the child gets it too, and decides
                continue


def _replace_process(target: Target, environ: dict[str, str]) -> NoReturn:
    # Python ignores these two at its start, and an ignored signal would stay ignored.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execve(target.executable, target.argv, environ)
