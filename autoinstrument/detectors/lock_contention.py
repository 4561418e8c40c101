"""Tasks wait long for a lock because its holders keep it across slow awaits."""

from typing import Final

from autoinstrument import stacks
from autoinstrument.detectors._tools import at, frame_place, functions_of, opening, related, shown
from autoinstrument.places import has_user_frame
from autoinstrument.records import Finding, LockRecord, RawStack, WaitRecord
from autoinstrument.world import World

KIND: Final = "lock_contention"


def attach(world: World) -> None:
    """Look at each wait that was resolved; remember on the tick what the holders awaited."""
    least_ns = world.settings.lock_wait_ms * 1_000_000
    holding: dict[int, RawStack] = {}
    waited: dict[tuple[int, int], int] = {}

    def tick(now_ns: int) -> None:
        for wait in list(world.resources.waiting.values()):
            if wait.op != "acquire" or now_ns - wait.started_ns < 50_000_000:
                continue
            for hold in wait.lock.holds[:1]:
                task = hold.owner()
                parked = stacks.parked(task) if task is not None else ()
                if has_user_frame(parked) and len(holding) < 1000:
                    holding[wait.lock.serial] = parked

    def lock_wait_ended(wait: WaitRecord) -> None:
        if wait.op != "acquire" or wait.how != "resolved":
            return
        key = (wait.lock.serial, wait.task.serial)
        if len(waited) > 10_000:
            waited.clear()
        waited[key] = waited.get(key, 0) + wait.ended_ns - wait.started_ns
        if waited[key] >= least_ns and wait.after:
            world.report(_finding(wait, waited.pop(key), holding.get(wait.lock.serial, ())))

    world.moments.on("tick", tick)
    world.moments.on("lock_wait_ended", lock_wait_ended)


def _finding(wait: WaitRecord, took_ns: int, holder: RawStack) -> Finding:
    lock: LockRecord = wait.lock
    place = frame_place(wait.stack)
    slow = frame_place(holder)
    keeps = f" Its holders keep it while they await{at(slow)}." if slow is not None else ""
    names = ", ".join(f"{name}()" for name in functions_of(wait.stack)[:2])
    message = (
        f"{opening(wait.task)} waited {took_ns / 1e9:.1f} s for {lock.kind} "
        f"#{lock.serial}{at(place)}, which passed through {wait.after} other hands meanwhile (up "
        f"to {lock.max_waiters} tasks were waiting in {names}).{keeps}"
    )
    finding = Finding(
        KIND,
        message,
        "Do the slow part outside the lock and guard only the shared state, or allow several at "
        "once with a semaphore.",
        place,
        severity="warning",
        task=wait.task.name,
        stack=shown(wait.stack),
    )
    finding.related = related("held while awaiting", slow)
    return finding
