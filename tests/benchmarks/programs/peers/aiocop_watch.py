"""aiocop: blocking calls and slow steps of the loop."""

from collections.abc import Coroutine
from importlib import import_module
from typing import Any


class Peer:
    """Watches each measured loop; it keeps nothing while nothing blocks."""

    def __init__(self) -> None:
        self._aiocop = import_module("aiocop")
        self._aiocop.patch_audit_functions()
        self._aiocop.start_blocking_io_detection(trace_depth=20)
        self._active = 0
        self._detecting = False

    async def around(self, job: Coroutine[Any, Any, Any]) -> Any:
        if not self._detecting:
            self._detecting = True
            self._aiocop.detect_slow_tasks(threshold_ms=30, on_slow_task=lambda event: None)
        self._aiocop.activate()
        try:
            return await job
        finally:
            self._active += bool(self._aiocop.is_monitoring_active())
            self._aiocop.deactivate()

    def recorded(self) -> dict[str, int]:
        return {"peer_events": self._active}
