"""`python -m autoinstrument.debugger.run [options] -- script.py arguments...`: run with a port.

Needs neither the agent nor a change to the program.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from .config import DebugpyConfig, load_debugpy_config
from .errors import DebuggerError
from .server import DebugpyServer


def main(arguments: list[str]) -> None:
    """Open the port, say so on stderr, and become the program."""
    options = _parser().parse_args(arguments)
    config = load_debugpy_config(options.config) if options.config else DebugpyConfig()
    try:
        server = DebugpyServer(options.host, options.port, _with_flags(config, options))
        if server.config.wait_for_client:
            sys.stderr.write("asyncscope: waiting for a debugger\n")
        host, port = server.start()
    except DebuggerError as exc:
        raise SystemExit(f"asyncscope: {exc}") from exc
    sys.stderr.write(f"asyncscope: debugger listens on {host}:{port}\n")
    _become(options.program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m autoinstrument.debugger.run")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--wait", action="store_true", help="wait for a client before line 1")
    parser.add_argument("--allow-remote", action="store_true")
    parser.add_argument("--allow-privileged", action="store_true")
    parser.add_argument("--config", help="a debugpy_config.json")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="script.py ... or -m module ...")
    return parser


def _with_flags(config: DebugpyConfig, options: argparse.Namespace) -> DebugpyConfig:
    from dataclasses import replace

    return replace(
        config,
        wait_for_client=config.wait_for_client or options.wait,
        allow_remote=config.allow_remote or options.allow_remote,
        allow_privileged=config.allow_privileged or options.allow_privileged,
    )


def _become(program: list[str]) -> None:
    words = program[1:] if program[:1] == ["--"] else program
    if words[:1] == ["-m"] and len(words) > 1:
        sys.argv = words[1:]
        sys.path[0] = ""
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words:
        sys.argv = words
        sys.path[0] = str(Path(words[0]).resolve().parent)
        runpy.run_path(words[0], run_name="__main__")
    else:
        raise SystemExit("asyncscope: name a script, or -m and a module")


if __name__ == "__main__":
    main(sys.argv[1:])
