"""Make sure that the agent will start in a target, or say why it cannot."""

import os
import shutil
import site
import sys

from autoinstrument.cli.probe import OLDEST, Interpreter, chained_folder, probe
from autoinstrument.cli.target import Target

HOOK_FILE = "asyncscope_hook.pth"
"""Name of the start-up file at the root of site-packages."""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """The agent cannot start in the target; the text says why and what to do."""


def grant_access(target: Target, environ: dict[str, str]) -> str | None:
    """Change `environ` so that the agent starts in `target`; return a note for the user.

    Raises:
        Refusal: the target's Python is known, and the agent cannot start in it.
    """
    if target.is_tool:
        return (
            "this command is a tool that asyncscope leaves alone (pip, a build, asyncscope itself)"
        )
    if target.python is None:
        return _note_on_unknown(target, environ)
    if target.python == [sys.executable] and hook_file() is not None:
        return None
    interpreter = probe(target.python, environ)
    if interpreter is None:
        return f"{target.python[0]} did not say whether asyncscope is installed there"
    if interpreter.hooked:
        return None
    folder = _folder_to_add(interpreter)
    rest = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = os.pathsep.join([folder, rest] if rest else [folder])
    return None


def hook_file() -> str | None:
    """Return the path of the start-up file of this Python, if one is in place."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    paths = [os.path.join(folder, HOOK_FILE) for folder in folders]
    return next(filter(os.path.isfile, paths), None)


def _folder_to_add(interpreter: Interpreter) -> str:
    """Return what has to be put on PYTHONPATH for a Python whose start-up line did not run."""
    if interpreter.version < OLDEST:
        raise Refusal(f"{interpreter.name} is too old: asyncscope needs Python 3.11 or newer")
    if interpreter.no_site:
        raise Refusal(
            "python -S runs no start-up files, so asyncscope cannot start by itself; leave -S "
            "out, or call autoinstrument.install() first thing in the program"
        )
    folder = chained_folder(interpreter)
    if folder is None:
        raise Refusal(_missing(interpreter))
    if interpreter.ignores_environment:
        raise Refusal(
            f"{HOOK_FILE} is in no site folder of {interpreter.name}, and -I or -E shuts the "
            f"other way; install asyncscope there: {interpreter.install_command}"
        )
    return folder


def _missing(interpreter: Interpreter) -> str:
    text = (
        f"asyncscope is not installed for {interpreter.name}, which runs this command. "
        f"Install it there:\n    {interpreter.install_command}"
    )
    if hook_file() is not None:
        text += (
            f"\nOr, if the program's libraries are in {sys.prefix}, let its Python run the "
            "program:\n    asyncscope-instrument app.py   or   asyncscope-instrument -m MODULE"
        )
    return text


def _note_on_unknown(target: Target, environ: dict[str, str]) -> str | None:
    """Judge a shell script or binary by the Python that it is likely to start."""
    path = environ.get("PATH")
    python = shutil.which("python", path=path) or shutil.which("python3", path=path)
    interpreter = probe([python], environ) if python else None
    if interpreter is not None and interpreter.hooked:
        return None
    name = os.path.basename(target.argv[0])
    return (
        f"cannot tell which Python {name} runs; it is watched if asyncscope is installed there"
        + (f" (in {interpreter.name} it is not)" if interpreter else "")
    )
