"""Tasks of asyncio: seen at the loop's `create_task`, which every way to make a task passes."""

import asyncio.runners
import asyncio.taskgroups
import asyncio.tasks
from asyncio.base_events import BaseEventLoop
from typing import Any, Final

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.records import TaskRecord
from autoinstrument.trackers.tasks import CALLER, TaskTracker, outcome_of

_CREATED: Final = """
try:
    port.created(value, coro, port_caller, self)
except TypeError:
    pass  # a task factory may return objects without weak references
except Exception as asyncscope_error:
    port.failed('created', asyncscope_error)
"""
_CHILD_DONE: Final = """
asyncscope_record = port_record(port_id(task))
if asyncscope_record is not None and not asyncscope_record.ended_ns:
    port.group_task_done(task, asyncscope_record)
asyncscope_record = None  # after an `if`, 3.11 would trace the line that follows twice
"""


class TaskPort(Port):
    """Tells the task tracker what happens in asyncio's task machinery.

    `create_task` tells the tracker itself.
    """

    part = "tasks"

    def __init__(self, failed: Any, tracker: TaskTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self._tracker = tracker
        self.tells("created", tracker.task_created)
        self.inline = {"caller": CALLER, "id": id, "record": tracker.live.get}

    def named(self, task: Any, name: Any) -> None:
        """A task is given a name after its creation, as Python 3.11 does."""
        try:
            record = self._tracker.live.get(id(task))
            if record is not None and type(name) is str:
                record.last_name = name
        except Exception as exc:
            self.failed("named", exc)

    def group_task_done(self, task: Any, record: TaskRecord) -> None:
        """A task group sees the end of a child: its exact end on Python 3.11."""
        try:
            self._tracker.task_ended(record, *outcome_of(task))
        except Exception as exc:
            self.failed("group_task_done", exc)

    def main_task_done(self, future: Any) -> None:
        """`run_until_complete` sees the end of its future."""
        try:
            record = self._tracker.live.get(id(future))
            if record is not None and not record.ended_ns and future.done():
                self._tracker.task_ended(record, *outcome_of(future))
        except Exception as exc:
            self.failed("main_task_done", exc)


def install(patches: Patches, tracker: TaskTracker, failed: Any) -> None:
    """Hook task creation and the ends that asyncio itself looks at."""
    port = TaskPort(failed, tracker)
    patches.weave(
        "tasks",
        BaseEventLoop,
        "create_task",
        port,
        Edit("result", _CREATED),
    )
    if hasattr(asyncio.tasks, "_set_task_name"):  # until Python 3.13
        patches.weave(
            "task names",
            asyncio.tasks,
            "_set_task_name",
            port,
            Edit("after", "port.named(task, name)", "set_name(name)"),
        )
    patches.weave(
        "task ends",
        asyncio.taskgroups.TaskGroup,
        "_on_task_done",
        port,
        Edit("entry", _CHILD_DONE),
    )
    patches.weave(
        "task ends",
        asyncio.base_events,
        "_run_until_complete_cb",
        port,
        Edit("entry", "port.main_task_done(fut)"),
    )
