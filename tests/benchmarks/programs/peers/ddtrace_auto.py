"""ddtrace, which carries its context from task to task and keeps no record of them."""

from collections.abc import Coroutine
from importlib import import_module
from typing import Any


class Peer:
    """Patches what it patches by itself."""

    def __init__(self) -> None:
        import_module("ddtrace.auto")

    async def around(self, job: Coroutine[Any, Any, Any]) -> Any:
        return await job

    def recorded(self) -> dict[str, int]:
        return {}
