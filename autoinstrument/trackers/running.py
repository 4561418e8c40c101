"""Which task runs in this thread.

Theory of operation. Until Python 3.11 asyncio asks the system for the number of the process each
time it is asked for the running loop, so that a forked child finds none; that takes as long as
forty bytecodes. So one loop of the process is *known* to run in one thread, from the moment in
which `run_forever()` has set it as the running loop until it is about to unset it: there its table
of tasks is looked at without that question. Any other thread and any other loop ask. What would
make it wrong ends it: a fork, the end of observation, another loop that runs or gets a task in
that thread. For libraries that nest loops may set another one without `run_forever()`; so a loop
is not known either if another one that is not closed has had tasks before.
"""

import asyncio
import asyncio.tasks
from typing import Any, Final

from autoinstrument import env
from autoinstrument.native import get_ident

running_loop: Final = asyncio._get_running_loop


class KnownLoop:
    """The loop that is known to run, and in which thread; 0 if none is."""

    __slots__ = ("_claim", "_with_tasks", "loop", "thread")

    def __init__(self) -> None:
        """Know none."""
        self.loop: Any = None
        self.thread = 0
        self._claim: dict[str, Any] = {}  # which loop it is; two threads may begin at a time
        self._with_tasks: set[int] = set()  # loops that have had tasks and are not closed

    def begins(self, loop: Any) -> None:
        """Record that a loop is the running one of this thread now."""
        if self._with_tasks - {id(loop)}:
            if self.thread == get_ident():
                self.thread = 0
        elif self._claim.setdefault("loop", loop) is loop:
            self.loop = loop
            self.thread = get_ident()  # last: who finds it there takes the loop

    def ends(self, loop: Any) -> None:
        """Record that a loop runs no more."""
        if self._claim.get("loop") is loop:
            self.thread = 0
            self.loop = None
            self._claim.clear()

    def task_made(self, loop: Any) -> None:
        """Record that a task is made for a loop, maybe for another one than runs here."""
        self._with_tasks.add(id(loop))
        if self.loop is not loop and self.thread == get_ident():
            self.thread = 0

    def closed(self, loop: Any) -> None:
        """Record that a loop is closed."""
        self._with_tasks.discard(id(loop))

    def forget(self) -> None:
        """Know nothing any more."""
        self.ends(self.loop)
        self._with_tasks.clear()


known: Final = KnownLoop()

tasks_of_loops: Any
"""Returns the task that runs in a given loop; since 3.12 also the one that runs here."""

if env.ASKS_FOR_PROCESS:
    tasks_of_loops = vars(asyncio.tasks)["_current_tasks"].get

    def running_task() -> Any:
        """Return the task that runs in this thread; current_task() is a Python function there."""
        return tasks_of_loops(known.loop if known.thread == get_ident() else running_loop())

else:
    tasks_of_loops = asyncio.current_task
    running_task = asyncio.current_task
    """The task that runs in this thread; RuntimeError outside a loop."""
