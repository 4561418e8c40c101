"""Ask another Python, without disturbing it, whether the agent would start in it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

TIMEOUT_S: Final = 20
OLDEST: Final = (3, 11)

# Runs under any Python since 2.7, with the start-up hook switched on: what counts is what
# happens there, not which files exist. The entry "" would find a checkout in this folder.
QUESTION: Final = """
import json, sys
hooked = "autoinstrument._boot" in sys.modules
sys.path = [entry for entry in sys.path if entry]
def where(name):
    try:
        from importlib.util import find_spec
        spec = find_spec(name)
        return spec and list(spec.submodule_search_locations or [""])[0]
    except Exception:
        return None
print(json.dumps({
    "executable": sys.executable,
    "version": list(sys.version_info[:3]),
    "hooked": hooked,
    "package": where("autoinstrument._boot"),
    "pip": where("pip") is not None,
    "no_site": bool(sys.flags.no_site),
    "ignores_environment": bool(sys.flags.ignore_environment),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a Python said about itself."""

    executable: str
    version: tuple[int, ...]
    hooked: bool
    """The start-up line of the agent ran."""
    package: str | None
    """Folder of `autoinstrument._boot` there; `None` if it cannot be imported."""
    pip: bool
    no_site: bool
    ignores_environment: bool

    @property
    def name(self) -> str:
        """Path and version, for messages."""
        return f"{self.executable} ({'.'.join(map(str, self.version))})"

    @property
    def install_command(self) -> str:
        """The command that puts asyncscope into this Python's environment."""
        if self.pip:
            return f"{self.executable} -m pip install asyncscope"
        return f"uv pip install --python {self.executable} asyncscope"


def probe(command: Sequence[str], environ: Mapping[str, str]) -> Interpreter | None:
    """Run `command`, an interpreter with its options, and return what it says.

    `None` if it gives no answer: not a Python, or one that does not start. The environment is
    the one the program will get, but no setting of the agent takes effect.
    """
    env = {name: value for name, value in environ.items() if not name.startswith("ASYNCSCOPE_")}
    env |= {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    try:
        done = subprocess.run(
            [*command, "-c", QUESTION],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        answer["version"] = tuple(answer["version"])
        return Interpreter(**answer)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None


def chained_folder(interpreter: Interpreter) -> str | None:
    """Return the folder whose `sitecustomize` starts the agent in that Python, if it has one."""
    folder = os.path.join(interpreter.package or "", "chained")
    return folder if interpreter.package and os.path.isdir(folder) else None
