"""Child processes that are Python: told below which span they hang.

`subprocess.Popen` starts the children of `subprocess` and of asyncio's own loops, and gets its
answer through the environment of the child, never through that of the program. The children of
`multiprocessing` get it with the process object that is handed to them. Verified with CPython
3.11 to 3.15.
"""

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit


class ChildPort(Port):
    """Asks which span runs when the program starts a child process."""

    part = "child processes"

    def __init__(
        self,
        failed: Callable[[str, BaseException], None],
        environment: Callable[[Any], Any],
        configure: Callable[[Any], None],
    ) -> None:
        """`environment` returns that of a child; `configure` writes into a process object."""
        super().__init__(failed)
        self._environment = environment
        self._configure = configure

    def environment(self, env: Any, args: Any, executable: Any, shell: Any) -> Any:
        """`Popen` is about to start `args` with `env`; return what the child is given."""
        try:
            return self._environment(env) if _is_python(args, executable, shell) else env
        except Exception as exc:
            self.failed("environment", exc)
            return env

    def starting(self, process: Any) -> None:
        """`multiprocessing` is about to start a process."""
        try:
            self._configure(process)
        except Exception as exc:
            self.failed("starting", exc)


def _is_python(args: Any, executable: Any, shell: Any) -> bool:
    """Whether a command is a Python, or a script installed beside this one."""
    program = executable if executable is not None and not shell else args
    if isinstance(program, (list, tuple)):
        if not program:
            return False
        program = program[0]
    if not isinstance(program, (str, bytes, os.PathLike)):
        return False
    text = os.fsdecode(program)
    if shell:
        text = (text.split() or [""])[0]
    folder, name = os.path.split(text)
    if name.lower().startswith(("python", "pypy")):
        return True
    return bool(folder) and folder == os.path.dirname(sys.executable or "")


def install(
    patches: Patches,
    environment: Callable[[Any], Any],
    configure: Callable[[Any], None],
    failed: Callable[[str, BaseException], None],
) -> None:
    """Hook the start of child processes, once the program has imported what starts them."""
    port = ChildPort(failed, environment, configure)

    def popen(module: ModuleType) -> None:
        patches.weave(
            "child processes",
            module.Popen,
            "_execute_child",
            port,
            Edit("entry", "env = port.environment(env, args, executable, shell)"),
        )

    def process(module: ModuleType) -> None:
        patches.weave(
            "child processes",
            module.BaseProcess,
            "start",
            port,
            Edit("entry", "port.starting(self)"),
        )

    patches.when_imported("subprocess", popen)
    patches.when_imported("multiprocessing.process", process)
