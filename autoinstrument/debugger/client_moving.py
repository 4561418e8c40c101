"""The part of a debug client that stops the program and lets it run on."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from . import model
from .client_looking import LookingClient
from .errors import DebugTimeout, NotStopped, RequestFailed, ResumeLost

if TYPE_CHECKING:
    from .client_connection import ClientOptions
    from .model import Stop

_SETTLE_S: Final = 0.1
_SETTLE_POLL_S: Final = 0.005
_ASLEEP: Final = (
    "all(getattr(t.additional_info, 'is_in_wait_loop', False)"
    " for t in __import__('threading').enumerate()"
    " if not getattr(t, 'pydev_do_not_trace', False) and getattr(t, 'additional_info', None))"
)


class MovingClient(LookingClient):
    """Pause, continue and steps."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 5678, options: ClientOptions | None = None
    ) -> None:
        """Start with a program that runs."""
        super().__init__(host, port, options)
        self._resuming = asyncio.Lock()

    # -- moving --------------------------------------------------------------------------------

    async def pause(self, thread_id: int | None = None) -> None:
        """Ask for a stop at the next line of user code, of any thread or of one.

        Returns when the request is armed. An idle loop reaches no such line: use `wait_stopped`
        with a timeout, or look without stopping (`stack_trace`, `async_tasks`).
        """
        if thread_id is None:
            threads = await self.threads()
            if not threads:
                raise NotStopped("the program shows no thread that could be paused")
            thread_id = threads[0].id
        await self._ask("pause", {"threadId": thread_id})

    async def continue_(self, thread_id: int | None = None) -> None:
        """Let the program run on, all threads of it; nothing happens if it runs already.

        Raises:
            ResumeLost: the debugger does not answer; the process may be suspended for good.
        """
        async with self._resuming:
            target = thread_id if thread_id is not None else self._stopped_thread()
            if target is None:
                return
            await self._settle()
            self._stops.clear()
            try:
                await self._ask("continue", {"threadId": target})
            except DebugTimeout as exc:
                raise ResumeLost(f"no answer to continue of thread {target}") from exc

    async def step_over(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the next line of the same function, and return that stop.

        At an `await` that suspends, the loop runs on: the stop is where the thread goes next in
        user code. `run_until_task_resumes` follows the task instead.
        """
        return await self._step("next", thread_id, timeout_s)

    async def step_in(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the next line, in a called function if there is one."""
        return await self._step("stepIn", thread_id, timeout_s)

    async def step_out(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the line after the call of this function."""
        return await self._step("stepOut", thread_id, timeout_s)

    async def begin_step(self, command: str, thread_id: int | None = None) -> None:
        """Start a step (`next`, `stepIn`, `stepOut`) without waiting for its end."""
        target = self._thread(thread_id)
        await self._settle()
        self._stops.clear()
        await self._ask(command, {"threadId": target})

    async def _step(self, command: str, thread_id: int | None, timeout_s: float | None) -> Stop:
        with self.subscribe("stopped") as stops:
            await self.begin_step(command, thread_id)
            limit = self.options.request_timeout_s if timeout_s is None else timeout_s
            try:
                async with asyncio.timeout(limit):
                    await stops.get()
            except TimeoutError as exc:
                raise DebugTimeout(f"no stop after {command} within {limit} s") from exc
        stop = self.stop
        if stop is None:
            raise NotStopped(f"the program ran on after {command}")
        self._taken_serial = stop.serial
        return stop

    async def _settle(self) -> None:
        # pydevd loses a `continue` that arrives while another thread is still on its way into the
        # stop, and the process stays suspended (debugpy 1.8.22). A thread that is blocked in C
        # never gets there, so there is a limit (100 ms were enough in all runs).
        while time.monotonic() < self._stopped_at + _SETTLE_S:
            with suppress(RequestFailed):
                answer = await self._ask("evaluate", {"expression": _ASLEEP, "context": "repl"})
                if model.text(answer, "result") == "True":
                    return
            await asyncio.sleep(_SETTLE_POLL_S)
