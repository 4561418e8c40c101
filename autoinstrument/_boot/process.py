"""What a Python command line runs, and whether that is a program worth watching."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MODULE, CODE, SCRIPT, SHELL = "m", "c", "script", ""
"""Kinds of program: `-m name`, `-c text`, a file or folder, nothing (an interactive shell)."""

# fmt: off
COMMANDS = frozenset({
    "asyncscope", "asyncscope-instrument", "conda", "flit", "hatch", "mamba", "pdm", "pip", "pip3",
    "pipx", "poetry", "pyproject-build", "twine", "uv", "uvx", "virtualenv",
})
"""Scripts that install things, or that are ours."""

MODULES = COMMANDS | {
    "autoinstrument", "build", "compileall", "debugpy.adapter", "debugpy.launcher", "ensurepip",
    "hatchling", "py_compile", "site", "sysconfig", "venv",
}
"""What does the same when started by `-m`."""
# fmt: on

INFRASTRUCTURE_CODE = (
    "multiprocessing.resource_tracker",  # started with the program's environment
    'run_module("pip"',  # ensurepip
    "get_interpreter_info",  # uv asks an interpreter for its paths
    "build_meta",  # uv calls a build back end
    "from hatchling",
    "from setuptools",
)
"""Parts of `-c` texts of helper processes."""

INFRASTRUCTURE_FILES = (
    "/pip/__pip-runner__.py",
    "/pyproject_hooks/_in_process/_in_process.py",
    "/debugpy/adapter",
    "/debugpy/launcher",
    "/get_interpreter_info.py",
)
"""Ends of paths of helper processes."""


def parse(argv: "Sequence[str]") -> tuple[list[str], str, str]:
    """Return the interpreter's options, and kind and name of what a command line runs.

    `argv` is a whole command line with the interpreter in front, such as `sys.orig_argv`:
    `python -X dev -m pip list` gives `(["-X", "dev"], "m", "pip")`.
    """
    options: list[str] = []
    words = iter(argv[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            return options, SCRIPT, word
        letters = "" if word.startswith("--") else word[1:]
        wants_value = word == "--check-hash-based-pycs"
        for at, letter in enumerate(letters):
            rest = letters[at + 1 :]
            if letter in (MODULE, CODE):
                return options + ["-" + letters[:at]] * bool(at), letter, rest or next(words, "")
            if letter in "WX":  # the rest of the word, or the next word, is their value
                wants_value = not rest
                break
        options.append(word)
        if wants_value:
            options.append(next(words, ""))
    return options, SHELL, ""


def is_infrastructure(argv: "Sequence[str]") -> bool:
    """Tell whether a command line starts a tool or helper that nobody wants explained."""
    _, kind, name = parse(argv)
    if kind == CODE:
        return any(part in name for part in INFRASTRUCTURE_CODE)
    if kind == MODULE:
        return name.removesuffix(".__main__") in MODULES
    path = name.replace("\\", "/").rstrip("/")
    return path.endswith(INFRASTRUCTURE_FILES) or _command(path) in COMMANDS


def _command(path: str) -> str:
    """Return `pip3` for `/usr/bin/pip3.13`, `hatch` for `hatch-script.py` and `hatch.exe`."""
    name = path.rpartition("/")[2].removesuffix(".exe").removesuffix("-script.py")
    stem, _, version = name.partition(".")
    return stem if version.isdigit() else name
