"""`AsyncDebugClient`: everything a person does in an IDE, as coroutines.

Works with any Debug Adapter Protocol server for Python that one can attach to: the adapter that
`debugpy.listen` starts, and pydevd itself. One client belongs to one event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client_breakpoints import BreakpointClient
from .client_connection import ClientOptions
from .client_moving import MovingClient

if TYPE_CHECKING:
    from .model import Stop
    from .tasks import TaskInfo

__all__ = ["AsyncDebugClient", "ClientOptions"]


class AsyncDebugClient(BreakpointClient, MovingClient):
    """A debug client for one process.

    ```python
    async with AsyncDebugClient("127.0.0.1", 5678) as client:
        await client.set_breakpoints("/srv/app.py", [41])
        stop = await client.wait_stopped(timeout_s=30)
        for frame in await client.stack_trace(stop.thread_id):
            print(frame.path, frame.line, frame.name)
        await client.continue_()
    ```

    Leaving the block disconnects; the program runs on, without breakpoints.
    """

    async def async_tasks(self) -> list[TaskInfo]:
        """Return all asyncio tasks with the lines at which they are parked, stopped or not."""
        from .tasks import fetch_tasks

        return await fetch_tasks(self)

    async def awaiting_chain(self, frame_id: int | None = None) -> list[TaskInfo]:
        """Return the task of the stopped frame, who awaits it, who awaits that one, and so on."""
        from .tasks import fetch_awaiting_chain

        return await fetch_awaiting_chain(self, frame_id)

    async def run_until_task_resumes(
        self, task: TaskInfo | str, timeout_s: float | None = None
    ) -> Stop:
        """Run on, and stop when that task (name or entry of `async_tasks`) executes its next line.

        Raises:
            DebugTimeout: it did not run in time; the temporary breakpoints are gone.
        """
        from .tasks import run_until_resumed

        return await run_until_resumed(self, task, timeout_s)
