"""More than a second passes between a cancellation and the end of what was cancelled."""

from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.detectors._cancels import is_taken_back, waits_by_agreement
from autoinstrument.detectors._tools import (
    at,
    created,
    frame_place,
    in_clean_up,
    is_users_task,
    opening,
    origin_related,
    origin_text,
    related,
    shown,
)
from autoinstrument.findings import Finding
from autoinstrument.places import Place, has_user_frame
from autoinstrument.records import CancelOrigin, RawStack, ScopeRecord, TaskRecord
from autoinstrument.world import World

KIND: Final = "cancellation_slow"


def attach(world: World) -> None:
    """Look on the tick at tasks and scopes whose cancellation is old."""
    checks = _Checks(world)
    world.moments.on("tick", checks.tick)
    world.moments.on("cancel_requested", checks.cancel_requested)


class _Checks:
    def __init__(self, world: World) -> None:
        self._world = world
        self._grace_ns = world.settings.cancel_grace_ms * 1_000_000
        self._open: dict[int, tuple[TaskRecord, CancelOrigin]] = {}
        self._said: set[tuple[int, Place | None]] = set()
        self._last: dict[int, RawStack] = {}

    def cancel_requested(self, record: TaskRecord, origin: CancelOrigin) -> None:
        """Remember the first request; later ones do not start the clock again."""
        known = self._open.get(record.serial)
        if known is not None and origin.before and not _is_left(known[1].by_scope):
            return
        if known is not None or len(self._open) < 10_000:
            self._open[record.serial] = (record, origin)

    def tick(self, now_ns: int) -> None:
        """Report what was cancelled long ago and is not over."""
        self.scopes(now_ns)
        for serial, (record, origin) in list(self._open.items()):
            task = record()
            if task is None or record.ended or self._is_over(task, origin, now_ns):
                self._open.pop(serial, None)
                self._last.pop(serial, None)
                continue
            parked = stacks.parked(task)
            if has_user_frame(parked):
                self._last[serial] = parked
            if now_ns - origin.at_ns > self._grace_ns:
                self._open.pop(serial, None)
                self._judge(record, origin, self._last.pop(serial, parked))

    def scopes(self, now_ns: int) -> None:
        """Report scopes that were cancelled long ago and are still waiting for a task."""
        for serial, scope in list(self._world.scopes.cancelling.items()):
            origin = scope.cancel_origin
            if origin is None or now_ns - origin.at_ns < self._grace_ns:
                continue
            self._world.scopes.cancelling.pop(serial, None)
            for record in self._world.scopes.tasks_in(scope):
                task = record()
                parked = stacks.parked(task) if task is not None else ()
                if has_user_frame(parked) and not _waits_for_children(parked):
                    self._judge(record, _by_scope(origin, scope), parked)

    def _is_over(self, task: Any, origin: CancelOrigin, now_ns: int) -> bool:
        if origin.via == "scope" or origin.by_scope is not None:
            return _is_left(origin.by_scope)
        return is_taken_back(task, origin, now_ns)

    def _judge(self, record: TaskRecord, origin: CancelOrigin, parked: RawStack) -> None:
        key = (record.serial, frame_place(parked))
        if (
            key in self._said
            or not is_users_task(record)
            or not has_user_frame(parked)
            or waits_by_agreement(parked)
        ):
            return
        self._said.add(key)
        if origin.via != "scope" and not in_clean_up(parked) and not _shielded(parked):
            return  # it goes on as if nothing had happened: cancellation_swallowed
        place = frame_place(parked)
        seconds = self._grace_ns / 1e9
        message = (
            f"{opening(record)} was cancelled by {origin_text(origin)} and was not "
            f"over {seconds:g} s later: it is cleaning up or shielded, waiting{at(place)}. "
            "Whoever waits for it waits as long, a shutdown for example."
        )
        finding = Finding(
            KIND,
            message,
            "Bound the clean-up with `asyncio.timeout()` (or `anyio.move_on_after(shield=True)`), "
            "or hand slow farewells to a task of their own.",
            place,
            severity="warning",
            task=record.name,
            stack=shown(parked),
        )
        finding.related = origin_related(origin)
        finding.related += related(
            "waiting when cancelled", frame_place(origin.parked), record.name
        )
        finding.related += related("created", created(record), record.name)
        self._world.report(finding)


def _by_scope(origin: CancelOrigin, scope: ScopeRecord) -> CancelOrigin:
    return CancelOrigin(
        origin.at_ns,
        origin.by_serial,
        origin.by_task,
        origin.flat_stack,
        (),
        "scope",
        scope,
    )


def _waits_for_children(parked: RawStack) -> bool:
    return any(code.co_qualname == "TaskGroup.__aexit__" for code, _ in parked)


def _is_left(scope: ScopeRecord | None) -> bool:
    return scope is not None and scope.left_ns != 0


def _shielded(parked: RawStack) -> bool:
    return any(code.co_name in {"shield", "_cancel_and_wait"} for code, _ in parked)
