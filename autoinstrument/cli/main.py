"""`asyncscope COMMAND`: the commands and their modules, which are imported when needed."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

COMMANDS = {
    "run": "instrument",
    "doctor": "doctor",
    "explain": "explain",
    "recording": "recording",
    "baseline": "baseline",
    "ps": "ps",
    "debug": "debug",
    "version": "version",
}
"""Command to its module in this folder, in the order in which the help shows them."""


class Command(Protocol):
    """What the module of a command offers."""

    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options and arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the work and return the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(argv)
    command: Command = options.command_module
    try:
        status = command.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `asyncscope explain KIND | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asyncscope",
        description="Explain what an asyncio or anyio program does and what goes wrong in it.",
        epilog="A program is watched when it is started with ASYNCSCOPE_ENABLE=1 in its "
        "environment, or by `asyncscope run COMMAND`.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        module = cast("Command", import_module(f"autoinstrument.cli.{module_name}"))
        subparser = subparsers.add_parser(
            name, help=module.SUMMARY, description=module.SUMMARY + ".", allow_abbrev=False
        )
        module.add_arguments(subparser)
        subparser.set_defaults(command_module=module)
    return parser
