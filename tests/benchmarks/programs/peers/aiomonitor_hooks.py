"""aiomonitor with its task factory, which keeps the creation and termination of tasks."""

import asyncio
from collections.abc import Coroutine
from importlib import import_module
from typing import Any


class Peer:
    """A monitor beside each measured loop, without console and web page."""

    def __init__(self) -> None:
        self._start = import_module("aiomonitor").start_monitor
        self._seen = 0

    async def around(self, job: Coroutine[Any, Any, Any]) -> Any:
        loop = asyncio.get_running_loop()
        options = {"port": 0, "console_port": 0, "webui_port": 0, "console_enabled": False}
        monitor = self._start(loop, host="127.0.0.1", hook_task_factory=True, **options)
        try:
            return await job
        finally:
            self._seen += len(monitor._terminated_tasks) + len(monitor._created_tracebacks)
            await loop.run_in_executor(None, monitor.close)

    def recorded(self) -> dict[str, int]:
        return {"peer_events": self._seen}
