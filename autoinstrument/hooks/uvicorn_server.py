"""uvicorn ends by the signal that stopped it, which runs no exit functions: look just before."""

import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit


class ServerPort(Port):
    """Tells that a server is about to kill its own process."""

    part = "uvicorn"

    def __init__(self, failed: Any, ending: Callable[[], None]) -> None:
        """Call `ending` when the process is about to end."""
        super().__init__(failed)
        self._ending = ending

    def raising(self, number: Any) -> None:
        """`signal.raise_signal` comes next; with the default action the process dies of it."""
        try:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._ending()
        except Exception as exc:
            self.failed("raising", exc)


def install(patches: Patches, module: ModuleType, ending: Callable[[], None], failed: Any) -> None:
    """Hook `uvicorn.server.Server.capture_signals`, which newer versions have."""
    server = module.Server
    if "capture_signals" in vars(server):
        patches.weave(
            "uvicorn",
            server,
            "capture_signals",
            ServerPort(failed, ending),
            Edit("before", "port.raising(captured_signal)", "signal.raise_signal("),
        )
