"""The waiter of asyncio.shield() was cancelled, and the shielded task runs on without an owner."""

import sys
from typing import Any, Final

from autoinstrument.detectors._tools import (
    at,
    created,
    frame_place,
    opening,
    related,
    shown,
    task_text,
)
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame
from autoinstrument.records import ShieldRecord
from autoinstrument.world import World

KIND: Final = "shield_orphan"
_GRACE_NS: Final = 100_000_000


def attach(world: World) -> None:
    """Remember each shield whose waiter was cancelled, and look later who holds the inner task."""
    waiting: list[ShieldRecord] = []

    def shield_left(record: ShieldRecord) -> None:
        if len(waiting) < 1000 and has_user_frame(record.stack):
            waiting.append(record)

    def look(now_ns: int | None = None) -> None:
        for record in list(waiting):
            if now_ns is not None and now_ns - record.at_ns < _GRACE_NS:
                continue
            if record in waiting:
                waiting.remove(record)
            if _is_orphan(record):
                world.report(_finding(record))

    world.moments.on("shield_left", shield_left)
    world.moments.on("tick", look)
    world.moments.on("loop_ending", lambda _: look())
    world.moments.on("loop_closing", lambda _: look())


def _is_orphan(record: ShieldRecord) -> bool:
    if record.inner.cancels:
        return False
    task = record.inner()
    if task is None or task.done():
        # shield() made it, so nobody else can have it; it went on after its waiter was gone
        return record.made_here and record.inner.ended_ns - record.at_ns > 20_000_000
    if _awaited_by_others(task):
        return False
    return record.made_here or not _held(task)


def _awaited_by_others(task: Any) -> bool:
    """Whether callbacks other than shield's own are on the inner task."""
    for callback, _ in getattr(task, "_callbacks", None) or ():
        if getattr(callback, "__name__", "") not in {
            "_inner_done_callback",
            "_log_on_exception",
            "_clear_awaited_by_callback",
        }:
            return True
    return False


def _held(task: Any) -> bool:
    """Whether anybody but the loop refers to a suspended task.

    The future it waits for keeps it by one callback; this frame, its caller and
    `getrefcount` account for three references more.
    """
    return sys.getrefcount(task) > 4


def _finding(record: ShieldRecord) -> Finding:
    place = frame_place(record.stack)
    message = (
        f"{opening(record.caller)} was cancelled while it waited for "
        f"asyncio.shield(){at(place)}. The shielded {task_text(record.inner)} runs on, and nobody "
        "awaits or holds it any more: its result and its errors are lost, and what it uses may be "
        "closed under it."
    )
    finding = Finding(
        KIND,
        message,
        "Keep the inner task in a variable, and in the `except asyncio.CancelledError` (or "
        "`finally`) await it before going on: `await task`.",
        place,
        task=record.caller.name if record.caller is not None else "",
        stack=shown(record.stack),
    )
    finding.related = related("shielded task created", created(record.inner), record.inner.name)
    return finding
