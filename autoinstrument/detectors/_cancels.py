"""What the two cancellation detectors share."""

import asyncio
import asyncio.futures
from typing import Any

from autoinstrument import stacks
from autoinstrument.places import is_user_file
from autoinstrument.records import CancelOrigin, RawStack

_TOLD_BEFORE_NS = 500_000_000
_PLAIN = {asyncio.Future, asyncio.futures._PyFuture}  # type: ignore[attr-defined]
_WAITS_BY_AGREEMENT = {
    "TaskGroup.__aexit__",
    "TaskGroup._aexit",
    "gather",
    "_cancel_and_wait",
}


def cancelling_count(task: Any) -> int:
    """Return how many cancellation requests a task has not taken back; 0 when it cannot tell."""
    try:
        return int(task.cancelling())
    except Exception:  # a task factory may return anything
        return 0


def is_taken_back(task: Any, origin: CancelOrigin, now_ns: int) -> bool:
    """Whether a request was taken back by `uncancel()`.

    A request is told before it is made. A task without one may be about to get it: until it is
    cancelled, detectors may have to be loaded.
    """
    return not cancelling_count(task) and now_ns - origin.at_ns > _TOLD_BEFORE_NS


def moved_on(task: Any, origin: CancelOrigin) -> bool:
    """Whether the cancellation was delivered: the task waits for something else by now."""
    if getattr(task, "_must_cancel", False):
        return False
    waiter = stacks.awaited(task)
    if waiter is None or id(waiter) != origin.waiter_id:
        return True
    # a plain future was cancelled at once: a pending one is new, at the address of the old one
    return type(waiter) in _PLAIN and not waiter.done()


def waits_by_agreement(stack: RawStack) -> bool:
    """Whether a parked task stands in library code that absorbs a cancellation on purpose."""
    for code, _ in stack:
        if is_user_file(code.co_filename):
            return False
        if code.co_qualname in _WAITS_BY_AGREEMENT:
            return True
    return False
