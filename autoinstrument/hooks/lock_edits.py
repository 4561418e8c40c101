"""What is woven into the locks and semaphores of asyncio and anyio, and the port that it calls.

Almost every wait begins while who has the lock is ready to run, and ends well after a short time.
The woven code itself writes such waits into the task's record and takes them away; whatever
differs calls the tracker, which does the same in more steps (`trackers/waits.py`). No variable of
it outlives that, and none holds a frame: it runs in the library's own.
"""

import sys
from textwrap import indent
from typing import Any, Final

from autoinstrument import env
from autoinstrument.hooks.ports import RUNNING, Port, running_names, told
from autoinstrument.records import LockRecord
from autoinstrument.trackers.resources import GOT_DEPTH, ResourceTracker
from autoinstrument.trackers.tasks import TaskTracker


def indented(code: str, levels: int = 1) -> str:
    """Return code for the inside of a block."""
    return indent(code, "    " * levels)


BOUND: Final = RUNNING if not env.ASKS_FOR_PROCESS else "port_running(self._loop)"
"""The running task, where one waits for an object of asyncio: by then it is bound to its loop.

Until Python 3.11 to ask for the running loop asks the system for the number of the process, which
takes a quarter of a microsecond (x86-64, 2026-11).
"""

_BEGINS: Final = """
asyncscope_task, asyncscope_record = port_last.task, port_last.lively
try:
    if asyncscope_task() is not CURRENT:
        asyncscope_task = port_live(port_id(CURRENT))
        if not asyncscope_task.last_name:
            asyncscope_task.remember_name()
        port_last.task = asyncscope_task
    if asyncscope_record() is not self:
        asyncscope_record = port_last.lively = port_locks(port_id(self))
    if (
        asyncscope_task.open_wait is None
        and asyncscope_record.waiting < asyncscope_record.max_waiters
CONDITION    ):
        port_resources.waits = asyncscope_number = port_resources.waits + 1
        asyncscope_task.open_wait = port_resources.waiting[asyncscope_task.serial] = [
            asyncscope_record,
            OPERATION,
            port_now(),
            asyncscope_number,
            asyncscope_record.handovers,
            asyncscope_task,
            None,
        ]
        del asyncscope_number
        asyncscope_record.waits += 1
        asyncscope_record.waiting += 1
NEWS    else:
        port.wait_started(self, OPERATION, None, KIND, PERMITS)
except Exception:
TOLD
del asyncscope_task, asyncscope_record
"""
_HOLDER_RUNS: Final = """
        and asyncscope_record.news
        and (
            FREE
            or OWNER.open_wait is None
            and OWNER()._fut_waiter is None
            and not OWNER().done()
        )
"""
_FREE: Final = {
    "owner": "asyncscope_record.owner is None and not asyncscope_record.known_holds",
    "known_holds[0].owner": "not asyncscope_record.known_holds",
}
_NEWS: Final = f"""
        asyncscope_record.news = {LockRecord.NEWS}
"""


def waits(op: str, kind: str, permits: int = 0, owner: str = "", running: str = BOUND) -> str:
    """Return code that tells that the running task is about to wait for `self`.

    `owner` is the attribute of the lock's record that says who has it, if `op` is `acquire`.
    """
    holder = f"asyncscope_record.{owner}"
    ready = _HOLDER_RUNS.replace("FREE", _FREE[owner])[1:] if owner else ""
    told_all = told("wait_started", "self", repr(op), "None", repr(kind), repr(permits))
    return (
        _BEGINS.replace("CURRENT", running)
        .replace("CONDITION", ready.replace("OWNER", holder))
        .replace("NEWS", _NEWS[1:] if owner else "")
        .replace("OPERATION", repr(op))
        .replace("KIND", repr(kind))
        .replace("PERMITS", repr(permits))
        .replace("TOLD", indented(told_all))
    )


_ENDS: Final = """
try:
    asyncscope_task = port_last.task = port_live(port_id(CURRENT))
    asyncscope_wait = asyncscope_task.open_wait
    asyncscope_record = port_last.lively = asyncscope_wait[0]
FRAMES    asyncscope_task.open_wait = None  # before the look at its record, see `wait_record`
    asyncscope_now = port_now()
    asyncscope_took = asyncscope_now - asyncscope_wait[2]
    if asyncscope_wait[6] is None and asyncscope_record() is selfCONDITION:
        if asyncscope_took > asyncscope_record.wait_max_ns:
            asyncscope_record.wait_max_ns = asyncscope_took
PLACE        del port_resources.waiting[asyncscope_task.serial]
        asyncscope_record.waiting -= 1
        asyncscope_record.wait_total_ns += asyncscope_took
HELD    else:
        asyncscope_task.open_wait = asyncscope_wait
        OTHERWISE
except Exception:
    asyncscope_task = asyncscope_wait = asyncscope_record = asyncscope_now = asyncscope_took = None
TOLD
del asyncscope_task, asyncscope_wait, asyncscope_record, asyncscope_now, asyncscope_took
"""
_SHORT: Final = (
    " and asyncscope_took < port_resources.short_ns and port_resources.outbox is None"
    " and not port_resources.watched"
)
_FRAMES: Final = """
    asyncscope_frame, asyncscope_place = port_frame(2), asyncscope_record.place
"""
# `async with` calls acquire() in one line, so that the frame of __aenter__() need not be looked at.
_PLACE: Final = f"""
        if (
            len(asyncscope_place) != {2 * GOT_DEPTH}
            or asyncscope_frame.f_lasti != asyncscope_place[5]
            or asyncscope_frame.f_code is not asyncscope_place[4]
            or asyncscope_place[2] is not port_entering
            and (
                port_frame(1).f_lasti != asyncscope_place[3]
                or port_frame(1).f_code is not asyncscope_place[2]
            )
        ):
            asyncscope_record.place = port_capture(port_frame(0), {GOT_DEPTH}, asyncscope_task)
        del asyncscope_frame, asyncscope_place
"""
_HELD: Final = """
        asyncscope_record.taken_ns = asyncscope_now
        asyncscope_record.owner = asyncscope_task
        asyncscope_record.acquired = asyncscope_record.placed = asyncscope_record.acquired + 1
"""
TOLD: Final = "asyncscope_told = True\n"
"""What stands before the code that a wait has ended well, for `wait_left`."""


def _ends(condition: str, otherwise: str, told_all: str, running: str, held: bool = False) -> str:
    code = (
        _ENDS.replace("CONDITION", condition)
        .replace("CURRENT", running)
        .replace("FRAMES", _FRAMES[1:] if held else "")
        .replace("PLACE", _PLACE[1:] if held else "")
        .replace("HELD", _HELD[1:] if held else "")
        .replace("OTHERWISE", otherwise)
    )
    return code.replace("TOLD", indented(told_all))


def wait_over(op: str, future: str, running: str = BOUND) -> str:
    """Return code that tells that the running task waits for `self` no more, and was not left."""
    told_all = told("wait_over", "self", future)
    condition = _SHORT if op == "acquire" else ""
    return _ends(condition, f"port.wait_over(self, {future})", told_all, running)


def got(kind: str) -> str:
    """Return code that tells that it waits no more for a lock of one owner, and has it."""
    told_all = told("got", "self", repr(kind))
    return _ends(_SHORT, f"port.got(self, {kind!r})", told_all, BOUND, held=True)


def wait_left(future: str) -> str:
    """Return code that tells that it waits no more, if it was not told that this ended well."""
    return f"""
try:
    del asyncscope_told
except NameError:
{indented(told("wait_over", "self", future))}
"""


def permit_got(kind: str) -> str:
    """Return code that tells that the running task has a permit of `self`."""
    return told("permit_got", "self", "port_frame(1)", repr(kind), "self._value + 1")


PERMIT_RELEASED: Final = told("permit_released", "self", "port_frame(1)")
"""Code that tells that a permit is given back, or made."""


class SynchronisationPort(Port):
    """What the ports of asyncio's and anyio's locks share."""

    def __init__(self, failed: Any, resources: ResourceTracker, tasks: TaskTracker) -> None:
        """Keep the tracker's methods at hand."""
        super().__init__(failed)
        self.inline = {
            **running_names(tasks),
            "frame": sys._getframe,
            "last": resources.last,
            "locks": resources.locks.__getitem__,
            "resources": resources,
        }
        self.resources = resources
        self.tells("given_back", resources.given_back)
        self.tells("permit_got", resources.acquired_by)
        self.tells("permit_released", resources.released_by)
        self.tells("wait_started", resources.wait_started)
        self.tells("wait_over", resources.wait_over)
