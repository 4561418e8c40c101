"""List this process for `asyncscope ps`, and open a debug port when `asyncscope debug PID` asks.

All of it happens in the agent's thread, which starts with the first event loop. Half a second
later, two seconds while the loop computes, the process is published. Then the thread looks once a
second whether a request lies in the folder that only the owner of the process can enter
(`registry.py`): one `stat`, about 3 µs. Nothing of the debugger is imported before somebody asks.
A loop that is blocked in Python code does not matter; a call that keeps the interpreter's lock
delays the answer until it returns.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from autoinstrument import registry

LOOK_EVERY_NS: Final = 1_000_000_000
FIRST_LOOK_NS: Final = 400_000_000
"""Nobody can ask for a program that ends earlier."""

LATEST_LOOK_NS: Final = 2_000_000_000
"""A loop that is busy, or blocked, is not waited for any longer."""

TOO_OLD_S: Final = 60.0
"""A request that nobody waits for any more must not open a port later."""
_stat, _getpid, _time = os.stat, os.getpid, time.time


class Presence:
    """Publishes the process, and serves requests in a thread that debuggers leave alone."""

    def __init__(self, say: Callable[[str], None], is_busy: Callable[[], bool]) -> None:
        """Begin with the first tick.

        Args:
            say: tells whoever reads the program's stderr.
            is_busy: whether the program computes, and would have to wait for what is imported.
        """
        self._say = say
        self._is_busy = is_busy
        self._next_ns = self._latest_ns = 0  # when to look next, once the first tick has come
        self._pid = 0
        self._path = ""

    def tick(self, now_ns: int) -> None:
        """Look whether there is a request, at most once a second."""
        if not self._next_ns:
            self._next_ns = now_ns + FIRST_LOOK_NS
            self._latest_ns = now_ns + LATEST_LOOK_NS
        if now_ns < self._next_ns or (now_ns < self._latest_ns and self._is_busy()):
            return
        self._next_ns = now_ns + LOOK_EVERY_NS
        if self._pid != _getpid():
            self._settle()
        if "pydevd" in sys.modules:
            self._hide()
        if not self._path:
            return
        try:
            _stat(self._path)
        except OSError:
            return
        self._take()

    def end(self) -> None:
        """Take the process off the list; called after the last tick."""
        self._pid = 0
        registry.withdraw()

    def _settle(self) -> None:
        """Publish this process, which a fork has made, too; remove what dead ones left behind."""
        self._pid = _getpid()
        registry.publish(watched=True, started=_time())
        folder = registry.own_folder()
        self._path = registry.request_path(folder, self._pid) if folder else ""
        registry.processes()

    @staticmethod
    def _hide() -> None:
        """Hide this thread from a debugger, anew after a fork (see `hide_agents_thread`)."""
        from autoinstrument.debugger import _debugpy

        if _debugpy.debugger() is not None:
            _debugpy.hide_agents_thread()

    def _take(self) -> None:
        request = registry.read(self._path)
        try:
            os.unlink(self._path)
        except OSError:  # it could be taken again and again
            self._path = ""
            return
        if request is None or request["pid"] != self._pid:
            return
        if _time() - float(request.get("asked", 0)) > TOO_OLD_S:
            return
        from autoinstrument.debugger.hidden import hidden_thread

        hidden_thread(lambda: self._serve(request), "asyncscope-debug-request")

    def _serve(self, request: dict[str, Any]) -> None:
        from autoinstrument.debugger.startup import serve_request

        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            self._say(line)

        try:
            answer = serve_request(str(request.get("do")), str(request.get("address", "0")), say)
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        if answer is None:
            answer = {"error": lines[-1] if lines else "no reason was given"}
        registry.publish(answer=answer | {"number": request.get("number")})
