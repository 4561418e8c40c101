"""Detectors: one file for each kind of finding; each has `KIND` and `attach(world)`.

A detector looks at records at one of three moments: inside the faulty call, when something
ends, or on the agent's tick and at exit. It reports findings and changes no record.

Most programs never do what most detectors look at, and to import all of them takes as long as half
of the rest of the agent. So a detector's place at its moments is kept by a `_Place` until one comes
at which it is needed. What is left is loaded by the agent's thread, one a tick, two seconds
after the first loop began, while no loop computes, or twenty seconds at the latest: a program that
goes on may change its root folder or its user, and its packages may be replaced under it.
"""

import _thread
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeAlias

from autoinstrument import env
from autoinstrument.findings import KINDS
from autoinstrument.world import World

Need: TypeAlias = Callable[[World], object] | None

_TICKS_BEFORE_THE_REST: Final = 40
_MOST_TICKS_BEFORE: Final = 400  # loading beside a busy loop takes a turn from it at each file
_LOADING_S: Final = 2.0


def _always(world: World) -> bool:
    return True


def _pending(world: World) -> object:
    return world.tasks.pending()


def _live(world: World) -> object:
    return world.tasks.live


def _open_scopes(world: World) -> object:
    return world.scopes.open


LATER: Final[Need] = None
"""Nothing to look at before one of the detector's other moments has come."""

_ON_SCOPE_LEFT: Final[dict[str, Need]] = {} if env.HAS_MONITORING else {"scope_left": _always}
_ENDINGS: Final[dict[str, Need]] = {"loop_ending": LATER, "loop_closing": LATER}

NEEDS: Final[dict[str, dict[str, Need]]] = {
    "cross_task_scope_exit": {"scope_left": _always},
    "scope_nesting_violation": {"scope_left": _always},
    "scope_leaked": {
        "loop_ending": _open_scopes,
        "loop_closing": _open_scopes,
        "exit": _open_scopes,
    },
    "cancel_delivery_spin": {"scope_spinning": _always},
    "async_generator_not_closed": {
        "generator_dropped": _always,
        "generator_dropped_again": LATER,
    },
    "async_generator_cross_task": {
        "generator_called": _always,
        "detach_failed": _always,
        "error_seen": _always,
        **_ON_SCOPE_LEFT,
    },
    "task_leaked": {"loop_closing": _pending},
    "task_garbage_collected": {"loop_error": _always},
    "task_exception_never_retrieved": {"loop_error": _always, "exit": _live},
    "gather_orphan": {"gather_failed": _always, "tick": LATER, **_ENDINGS},
    "cancellation_swallowed": {
        "timeout_left": _always,
        "wait_for_returned": _always,
        "tick": lambda world: world.tasks.cancelling,
        "loop_ending": LATER,
    },
    "cancellation_slow": {
        "cancel_requested": _always,
        "tick": lambda world: world.scopes.cancelling,
    },
    "lock_deadlock": {"lock_waited": _always, "locks_waited_for": _always},
    "lock_reentry": {"lock_waited": _always, "tick": LATER, "lock_wait_ended": LATER},
    "lock_released_by_other_task": {"lock_released": _always},
    "lock_held_at_task_end": {
        "locks_waited_for": _always,
        "loop_ending": lambda world: world.resources.locks,
        "loop_closing": lambda world: world.resources.locks,
    },
    "lock_contention": {"locks_waited_for": _always, "lock_wait_ended": _always},
    "event_loop_blocked": {"blocked": _always},
    "task_wait_cycle": {"tasks_wait": _always, "loop_ending": _pending, "loop_closing": _pending},
    "wait_never_resolved": {
        "wait_cancelled": _always,
        "wait_expired": _always,
        "loop_ending": _pending,
        "loop_closing": _pending,
    },
    "shield_orphan": {"shield_left": _always, "tick": LATER, **_ENDINGS},
    "coroutine_never_awaited": {"unawaited": _always},
    "wrong_event_loop": {"loop_mismatch": _always, "error_seen": _always},
}
"""By kind: the moments of its detector, and what there has to be for it to be needed then."""


def attach_all(world: World, kinds: frozenset[str]) -> None:
    """Attach the detectors of the chosen kinds, each as soon as it is needed."""
    waiting = [_Detector(world, kind) for kind in KINDS if kind in kinds]
    ticks = 0

    def load_the_rest(now_ns: int) -> None:
        nonlocal ticks
        ticks += 1
        world.moments.unfinished = True
        least = _TICKS_BEFORE_THE_REST if world.looks.calm else _MOST_TICKS_BEFORE
        if ticks <= least:
            return
        while waiting:
            if waiting.pop().load_in_advance():
                return
        world.moments.replace("tick", load_the_rest, ())

    if waiting:
        world.moments.on("tick", load_the_rest)


class _Detector:
    """One detector: not loaded, being loaded, or attached."""

    def __init__(self, world: World, kind: str) -> None:
        """Stand at all moments of a kind; one without `NEEDS` is loaded now."""
        self.world = world
        self.module = f"autoinstrument.detectors.{kind}"
        self.missed: list[tuple[_Place, tuple[Any, ...]]] = []
        self._checks: dict[str, tuple[Callable[..., None], ...]] | None = None
        self._lock = _thread.allocate_lock()
        self._loaded_by = 0
        self._places = [_Place(self, moment, need) for moment, need in NEEDS.get(kind, {}).items()]
        for place in self._places:
            world.moments.on(place.moment, place)
        if not self._places:
            import_module(self.module).attach(world)
            self._checks = {}

    @property
    def is_loaded(self) -> bool:
        """Whether its checks are known."""
        return self._checks is not None

    def load_in_advance(self) -> bool:
        """Load it before it is needed; return whether there was anything to do."""
        if self.is_loaded:
            return False
        self.checks()
        return True

    def checks(self) -> dict[str, tuple[Callable[..., None], ...]] | None:
        """Return its checks by moment, loaded now if need be.

        None in a finalizer that came in the middle of that, in the same thread.

        Raises:
            TimeoutError: another thread does not come to an end, which a fork may have left behind.
        """
        if self._checks is not None:
            return self._checks
        if self._loaded_by == _thread.get_ident():
            return None
        if not self._lock.acquire(timeout=_LOADING_S):
            raise TimeoutError("another thread loads it and does not come to an end")
        try:
            if self._checks is None:
                self._loaded_by = _thread.get_ident()
                self._checks = self._load()
            return self._checks
        finally:
            self._loaded_by = 0
            self._lock.release()

    def _load(self) -> dict[str, tuple[Callable[..., None], ...]]:
        module, moments = import_module(self.module), self.world.moments
        found = moments.collected(lambda: module.attach(self.world))
        for place in self._places:
            moments.replace(place.moment, place, found.get(place.moment, ()))
        return found


class _Place:
    """The place of a detector among the checks of a moment until it is loaded."""

    def __init__(self, detector: _Detector, moment: str, need: Need) -> None:
        self.moment = moment
        self._detector = detector
        self._need = need
        self.__module__ = detector.module  # named when it fails

    def __call__(self, *facts: Any) -> None:
        """Load the detector if it is needed, and let it look at the facts."""
        detector = self._detector
        loaded = detector.is_loaded  # two that were loaded at once may have put one back
        if not loaded and (self._need is None or not self._need(detector.world)):
            return
        checks = detector.checks()
        if checks is None:
            detector.missed.append((self, facts))
            return
        detector.world.moments.run(self.moment, checks.get(self.moment, ()), facts)
        while detector.missed:
            place, others = detector.missed.pop(0)
            place(*others)
