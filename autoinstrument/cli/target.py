"""Find out what a command line will run, and under which Python."""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from autoinstrument._boot.process import is_infrastructure, parse

PYTHON_NAME = re.compile(r"(python|pypy)w?[0-9.]*t?(\.exe)?", re.IGNORECASE)

# pip and uv write this into scripts whose interpreter's path is too long, or has a blank.
LONG_SHEBANG = re.compile(rb"^#!/bin/sh\n'''exec' (?:\"([^\"]+)\"|(\S+)) \"\$0\" \"\$@\"")


class CommandNotFoundError(Exception):
    """There is no such command; the text says which."""


@dataclass(frozen=True, slots=True)
class Target:
    """A command line, ready to run."""

    executable: str
    """Path of the file to execute."""
    argv: list[str]
    """The command line with its first word as the program is to see it."""
    python: list[str] | None
    """The interpreter that will run, with its options; `None` if that cannot be known."""
    is_tool: bool = False
    """A tool such as pip, which the agent leaves alone."""


def module_target(command: Sequence[str]) -> Target:
    """Return the target of `-m MODULE ARGUMENTS...`: this Python runs it."""
    return _python_target(sys.executable, [sys.executable, "-m", *command])


def command_target(command: Sequence[str], path: str | None) -> Target:
    """Return the target of `command`, looked up in `path` (the variable PATH).

    A Python file is run by this Python, whether it is executable or not.

    Raises:
        CommandNotFoundError: no such file, or nothing of that name in PATH.
    """
    name = command[0]
    if name.endswith((".py", ".pyz", ".pyw")) and os.path.isfile(name):
        return _python_target(sys.executable, [sys.executable, *command])
    executable = shutil.which(name, path=path) or _beside_us(name)
    if executable is None:
        raise CommandNotFoundError(f"command not found: {name}")
    if PYTHON_NAME.fullmatch(os.path.basename(name)):
        return _python_target(executable, list(command))
    interpreter = _interpreter_of(executable, path)
    argv = [name if shutil.which(name, path=path) else executable, *command[1:]]
    if interpreter is None:
        return Target(executable, argv, None)
    return Target(executable, argv, interpreter, is_infrastructure([*interpreter, executable]))


def _python_target(executable: str, argv: list[str]) -> Target:
    options, _, _ = parse(argv)
    return Target(executable, argv, [executable, *options], is_infrastructure(argv))


def _beside_us(name: str) -> str | None:
    """Find a command of this environment although the environment is not activated."""
    if os.path.dirname(name):
        return None
    return shutil.which(name, path=os.path.dirname(sys.executable))


def _interpreter_of(executable: str, path: str | None) -> list[str] | None:
    """Return the Python and its options that the first line of a script names, if it does."""
    try:
        with open(executable, "rb") as stream:
            head = stream.read(1024)
    except OSError:
        return None
    if long := LONG_SHEBANG.match(head):
        return [os.fsdecode(long.group(1) or long.group(2))]
    if not head.startswith(b"#!"):
        return _interpreter_of_launcher(executable)
    words = os.fsdecode(head[2:].partition(b"\n")[0]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S" and "=" not in word]
        found = shutil.which(words[0], path=path) if words else None
        words = [found, *words[1:]] if found else []
    if words and PYTHON_NAME.fullmatch(os.path.basename(words[0])):
        return words
    return None


def _interpreter_of_launcher(executable: str) -> list[str] | None:
    """Windows has scripts as `.exe` files; one beside this Python is run by this Python."""
    ours = os.path.dirname(sys.executable)
    is_ours = os.path.dirname(os.path.abspath(executable)) == ours
    if sys.platform == "win32" and is_ours and not PYTHON_NAME.fullmatch(executable):
        return [sys.executable]
    return None
