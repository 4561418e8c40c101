"""A cancellation was delivered, and the task went on as if nothing had happened."""

from typing import Final

from autoinstrument import stacks
from autoinstrument.detectors._cancels import (
    cancelling_count,
    is_taken_back,
    moved_on,
    waits_by_agreement,
)
from autoinstrument.detectors._tools import (
    at,
    frame_place,
    functions_of,
    in_clean_up,
    opening,
    origin_related,
    origin_text,
    related,
    scope_text,
    shown,
    task_text,
)
from autoinstrument.findings import Finding
from autoinstrument.places import has_user_frame
from autoinstrument.records import CancelOrigin, RawStack, ScopeRecord, TaskRecord
from autoinstrument.world import World

KIND: Final = "cancellation_swallowed"
_LOOKS: Final = 3  # ticks on the normal path before a task counts as going on


def attach(world: World) -> None:
    """Look when an expired timeout is left without an exception, and on the tick."""
    checks = _Checks(world)
    world.moments.on("timeout_left", checks.timeout_left)
    world.moments.on("wait_for_returned", checks.wait_for_returned)
    world.moments.on("tick", checks.tick)
    world.moments.on("loop_ending", lambda _: checks.seen.clear())


class _Checks:
    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: dict[int, list[int]] = {}
        self._said: set[int] = set()

    def timeout_left(self, scope: ScopeRecord, passing: bool, task: TaskRecord | None) -> None:
        """An `asyncio.timeout` that had expired is left; without an exception it is silent."""
        if passing or scope.owner is None:
            return
        origin = _origin_of(scope, task)
        if origin is None or not has_user_frame(origin.parked):
            return
        victim = self._innermost(scope.owner, origin)
        parked = victim[1].parked or origin.parked
        self._said.add(scope.owner.serial)
        entered = frame_place(scope.stack)
        place = frame_place(parked)
        message = (
            f"The deadline of the {scope_text(scope)} entered{at(entered)} expired and cancelled "
            f"{task_text(victim[0])}, which was waiting{at(place)}; the cancellation was caught "
            f"there and not raised again, so no TimeoutError came out of the block in "
            f"{', '.join(f'{name}()' for name in functions_of(scope.stack)[:2]) or 'the caller'}."
        )
        self._report(victim[0], origin, place, parked, message)

    def wait_for_returned(self, record: TaskRecord, stack: RawStack) -> None:
        """What `wait_for` of Python 3.11 cancelled at its deadline has returned a value."""
        origin = record.cancels[-1] if record.cancels else None
        if origin is None or origin.via != "deadline" or not has_user_frame(origin.parked):
            return
        self._said.add(record.serial)
        place = frame_place(origin.parked)
        message = (
            f"The deadline of asyncio.wait_for(){at(frame_place(stack))} expired and cancelled "
            f"{task_text(record)}, which was waiting{at(place)}; the cancellation was caught there "
            "and not raised again, so wait_for() returned a value instead of raising TimeoutError."
        )
        self._report(record, origin, place, origin.parked, message)

    def _innermost(
        self, owner: TaskRecord, origin: CancelOrigin
    ) -> tuple[TaskRecord, CancelOrigin]:
        """Follow the request to the task that really had to give way."""
        best = (owner, origin)
        tasks = self._world.tasks
        for record in [*tasks.live.values(), *list(tasks.finished)[-200:]]:
            for other in record.cancels or ():
                if other.via == "propagated" and other.at_ns == origin.at_ns and other.parked:
                    best = (record, other)
        return best

    def tick(self, now_ns: int) -> None:
        """Look at tasks with an open request: are they still on their normal path?"""
        for serial, record in list(self._world.tasks.cancelling.items()):
            task = record()
            if task is None or record.ended or not record.cancels:
                self.seen.pop(serial, None)
                self._world.tasks.cancelling.pop(serial, None)
                continue
            origin = record.cancels[-1]
            if not cancelling_count(task):
                if is_taken_back(task, origin, now_ns):
                    self._world.tasks.cancelling.pop(serial, None)
                continue
            if serial in self._said or origin.via == "scope" or not moved_on(task, origin):
                continue
            parked = stacks.parked(task)
            if self._goes_on(serial, parked, now_ns, origin):
                self._said.add(serial)
                self._report_going_on(record, origin, parked)

    def _goes_on(self, serial: int, parked: RawStack, now_ns: int, origin: CancelOrigin) -> bool:
        if not has_user_frame(parked) or waits_by_agreement(parked):
            self.seen.pop(serial, None)
            return False
        if in_clean_up(parked):
            return False  # a loop that pauses in its handler comes back to its normal path
        looks = self.seen.setdefault(serial, [0])
        looks[0] += 1
        return looks[0] >= _LOOKS and now_ns - origin.at_ns > 250_000_000

    def _report_going_on(self, record: TaskRecord, origin: CancelOrigin, parked: RawStack) -> None:
        caught = _still_there(origin.parked, parked)
        place = frame_place(caught)
        message = (
            f"{opening(record)} was cancelled by {origin_text(origin)} while it was "
            f"waiting{at(place)}, caught the cancellation and went on; it is now"
            f"{at(frame_place(parked))}."
        )
        self._report(record, origin, place, caught, message)

    def _report(
        self,
        record: TaskRecord,
        origin: CancelOrigin,
        place: object,
        stack: RawStack,
        message: str,
    ) -> None:
        finding = Finding(
            KIND,
            message,
            "Catch `Exception` instead of everything, or `raise` again at the end of the handler "
            "of `asyncio.CancelledError`; call `task.uncancel()` only if going on is agreed.",
            frame_place(stack),
            task=record.name,
            stack=shown(stack),
        )
        finding.related = origin_related(origin)
        for outer in shown(origin.parked)[:4]:
            finding.related += related("awaited in", outer, record.name)
        finding.related += related("created", frame_place(record.stack), record.name)
        self._world.report(finding)


def _still_there(then: RawStack, now: RawStack) -> RawStack:
    """Return the stack of the cancellation from the function that caught it.

    The handler is in the innermost function that was left by another line than it was
    entered by: frames outside it stand where they stood, frames inside it are new ones.
    """
    outer = list(zip(reversed(then), reversed(now), strict=False))
    same = 0
    while same < len(outer) and outer[same][0] == outer[same][1]:
        same += 1
    if same < len(outer) and outer[same][0][0] is outer[same][1][0]:
        same += 1  # the same function, at another line: it went on there
    caught = then[len(then) - same :] if same else then
    if not has_user_frame(caught):
        return then if has_user_frame(then) else now
    return caught


def _origin_of(scope: ScopeRecord, task: TaskRecord | None) -> CancelOrigin | None:
    owner = scope.owner
    for origin in reversed((owner.cancels if owner is not None else None) or []):
        if origin.by_scope is scope:
            return origin
    return None
