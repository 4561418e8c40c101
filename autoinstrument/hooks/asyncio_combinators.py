"""`asyncio.gather` and `asyncio.shield`: whom they left behind."""

import asyncio.tasks
import sys
import weakref
from typing import Any

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit
from autoinstrument.places import capture
from autoinstrument.records import GatherRecord, RawStack, ShieldRecord, TaskRecord
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.tasks import TaskTracker


class CombinatorPort(Port):
    """Tells about failed gathers and abandoned shields."""

    part = "gather and shield"

    def __init__(self, failed: Any, tasks: TaskTracker, moments: Moments) -> None:
        """Start with no calls known."""
        super().__init__(failed)
        self._tasks = tasks
        self._moments = moments
        self._calls: dict[int, tuple[TaskRecord | None, RawStack, weakref.ref[Any]]] = {}
        self.shields: dict[int, tuple[TaskRecord | None, RawStack, weakref.ref[Any], bool]] = {}
        self.inner_of: dict[int, weakref.ref[Any]] = {}

    def gathered(self, outer: Any, *_: Any) -> Any:
        """`gather` returns its future; remember where it was called."""
        try:
            key = id(outer)
            ref = weakref.ref(outer, lambda _: self._calls.pop(key, None))
            self._calls[key] = (self._tasks.current(), capture(sys._getframe(2), 8), ref)
        except Exception as exc:
            self.failed("gathered", exc)
        return outer

    def child_failed(self, error: BaseException, outer: Any, children: Any) -> None:
        """The first child of a gather fails; the others go on, and nobody will look at them."""
        try:
            if outer._cancel_requested:
                return
            left = [self._tasks.live.get(id(other)) for other in children if not other.done()]
            caller, stack, _ = self._calls.get(id(outer), (None, (), None))
            known = [record for record in left if record is not None]
            if known and stack:
                self._moments.fire(
                    "gather_failed", GatherRecord(caller, stack, type(error).__qualname__, known)
                )
        except Exception as exc:
            self.failed("child_failed", exc)

    def shielded(self, outer: Any, arg: Any, inner: Any) -> Any:
        """`shield` returns its outer future."""
        try:
            if outer is not inner:
                key = id(outer)
                ref = weakref.ref(outer, lambda _: self._forget(key))
                self.shields[key] = (
                    self._tasks.current(),
                    capture(sys._getframe(2), 8),
                    ref,
                    inner is not arg,
                )
                self.inner_of[key] = weakref.ref(inner)
        except Exception as exc:
            self.failed("shielded", exc)
        return outer

    def _forget(self, key: int) -> None:
        self.shields.pop(key, None)
        self.inner_of.pop(key, None)

    def inner(self, outer: Any) -> Any:
        """Return what the outer future of a shield hides, or None."""
        try:
            ref = self.inner_of.get(id(outer))
            known = self.shields.get(id(outer))
            if ref is not None and known is not None and known[2]() is outer:
                return ref()
        except Exception as exc:
            self.failed("inner", exc)
        return None

    def outer_done(self, outer: Any, inner: Any) -> None:
        """The outer future of a shield is over; is the inner one still running?"""
        try:
            known = self.shields.get(id(outer))
            record = self._tasks.live.get(id(inner))
            if known is None or record is None or inner.done() or not outer.cancelled():
                return
            caller, stack, _, made_here = known
            self._moments.fire(
                "shield_left", ShieldRecord(caller, stack, record, made_here=made_here)
            )
        except Exception as exc:
            self.failed("outer_done", exc)


def install(patches: Patches, tasks: TaskTracker, moments: Moments, failed: Any) -> CombinatorPort:
    """Hook gather and shield."""
    port = CombinatorPort(failed, tasks, moments)
    patches.weave(
        "gather",
        asyncio.tasks,
        "gather",
        port,
        Edit("result", "port.gathered(value)"),
        Edit(
            "begins",  # asked for each child, this would be the dearest part of its record
            "port.child_failed(exc, outer, children)",
            "if exc is not None:",
            inside="_done_callback",
        ),
    )
    patches.weave(
        "shield",
        asyncio.tasks,
        "shield",
        port,
        Edit("result", "port.shielded(value, arg, inner)"),
        Edit("entry", "port.outer_done(outer, inner)", inside="_outer_done_callback"),
    )
    return port
