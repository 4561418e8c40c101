"""Runs *inside debugpy's adapter process*: two repairs, as found in debugpy 1.8.22.

1. *The port goes deaf.* The thread that accepts clients ends with the first exception, and one
   comes when a client connects while the adapter still cleans up after another that has vanished,
   or when a port scanner hangs up at once. From then on connections are made and never answered.
2. *The adapter outlives its program.* A client that connected and never attached keeps it waiting
   for good.

The folder is put first on the adapter's `PYTHONPATH` (see `_debugpy.listen`), and Python imports
the module of this name by itself. Standard library only and complete in itself. A debugpy of
another shape is left as it is.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

LAST_SESSIONS_S = 5.0


def keep_accepting(sockets: Any) -> None:
    """Let the accepting thread survive a client that could not be welcomed."""
    serve = sockets.serve

    def serve_on(name: str, handler: Callable[[Any], Any], *args: Any, **options: Any) -> Any:
        def handle(sock: Any) -> None:
            try:
                handler(sock)
            except Exception:
                sys.modules["debugpy.common.log"].swallow_exception("a client was not welcomed:")

        return serve(name, handle, *args, **options)

    sockets.serve = serve_on


def end_with_the_program(sessions: Any) -> None:
    """Bound the wait for clients once every debugged process is gone."""
    wait_until_ended = sessions.wait_until_ended

    def wait_a_while() -> None:
        waiting = threading.Thread(target=wait_until_ended, daemon=True)
        waiting.start()
        waiting.join(LAST_SESSIONS_S)

    sessions.wait_until_ended = wait_a_while


REPAIRS = {
    "debugpy.common.sockets": keep_accepting,
    "debugpy.adapter.sessions": end_with_the_program,
}


class RepairingFinder:
    """Finds the modules to be repaired as usual, and repairs them once they are loaded."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the ordinary spec with a repair behind it, `None` for all other modules."""
        repair = REPAIRS.get(name)
        if repair is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = _then(loader.exec_module, repair)
        return spec


def _then(
    execute: Callable[[ModuleType], None], repair: Callable[[Any], None]
) -> Callable[[ModuleType], None]:
    def exec_module(module: ModuleType) -> None:
        execute(module)
        try:
            repair(module)
        except AttributeError:  # another debugpy
            return

    return exec_module


sys.meta_path.insert(0, RepairingFinder)
