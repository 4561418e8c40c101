"""A task asks for a lock that it holds itself; asyncio's and anyio's locks are not reentrant."""

from typing import Final

from autoinstrument.detectors._tools import (
    at,
    frame_place,
    functions_of,
    opening,
    shown,
    taken_related,
)
from autoinstrument.detectors._waits import helper_parent
from autoinstrument.findings import Finding
from autoinstrument.records import Hold, WaitRecord
from autoinstrument.world import World

KIND: Final = "lock_reentry"
_SURE_NS: Final = 200_000_000  # by then another task would have released it


def attach(world: World) -> None:
    """Look on the tick, and when such a wait is broken off; another task may release the lock."""
    open_waits: dict[int, tuple[WaitRecord, Hold]] = {}

    def lock_waited(wait: WaitRecord) -> None:
        if wait.op != "acquire" or wait.lock.permits != 1 or "Semaphore" in wait.lock.kind:
            return
        for hold in wait.lock.holds:
            waiter = wait.task
            if hold.owner is waiter or helper_parent(world, hold) is waiter:
                open_waits[waiter.serial] = (wait, hold)

    def tick(now_ns: int) -> None:
        for serial, (wait, hold) in list(open_waits.items()):
            if wait.ended_ns or hold not in wait.lock.holds:
                open_waits.pop(serial, None)
            elif now_ns - wait.started_ns > _SURE_NS:
                open_waits.pop(serial, None)
                world.report(_finding(wait, hold))

    def lock_wait_ended(wait: WaitRecord) -> None:
        known = open_waits.pop(wait.task.serial, None)
        if (
            known is not None
            and known[0] is wait
            and wait.how != "resolved"
            and known[1] in wait.lock.holds
        ):
            world.report(_finding(wait, known[1]))

    world.moments.on("lock_waited", lock_waited)
    world.moments.on("tick", tick)
    world.moments.on("lock_wait_ended", lock_wait_ended)


def _finding(wait: WaitRecord, hold: Hold) -> Finding:
    place = frame_place(wait.stack)
    held = frame_place(hold.stack)
    calls = " called by ".join(f"{name}()" for name in functions_of(wait.stack)[:3])
    message = (
        f"{opening(wait.task)} asks{at(place)} for {wait.lock.kind} "
        f"#{wait.lock.serial}, which it took itself{at(held)}; it waits for itself and "
        f"never goes on. The second request comes from {calls}."
    )
    finding = Finding(
        KIND,
        message,
        "Take the lock in the outer function only and give the inner one a variant that expects "
        "it to be held.",
        place,
        task=wait.task.name,
        stack=shown(wait.stack),
    )
    finding.related = taken_related("held since", hold, wait.task.name)
    return finding
