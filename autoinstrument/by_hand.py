"""What `AsyncDebugger` follows by name goes into the trackers: the agent's, if it is installed.

So a scope, lock or session that was named by hand is in the same statistics and report, and the
same detectors look at it. Where the agent's hooks see a lock themselves, nothing is told twice.
"""

import asyncio
import contextlib
import os
import sys
from types import FrameType
from typing import Any, Final

from autoinstrument import agent
from autoinstrument.monitors import HandScope, shared_world

_OWN_FOLDER: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep


class HandTrackers:
    """The by-hand face of all trackers of one process."""

    def __init__(self) -> None:
        """Share the agent's records, or make new ones where no agent is installed."""
        installed = agent.current()
        self._world = shared_world()
        self._hooked = installed is not None and installed.world is self._world
        self._by_hand: set[tuple[int, int]] = set()  # (lock, task) told here and not by a hook

    def running_task(self) -> int:
        """Return the number of the running task's record, 0 without a task."""
        record = self._world.tasks.current()
        return record.serial if record is not None else 0

    def scope_entered(self, name: str) -> HandScope:
        """Record that the running task enters a scope; the result is for `scope_left`."""
        scope = HandScope(name)
        self._world.scopes.scope_entered(scope, name, _users_frame())
        return scope

    def scope_left(self, scope: HandScope) -> int:
        """Record that the running task leaves a scope; return the number of its record."""
        record = self._world.scopes.scope_left(scope, _users_frame())
        return record.serial if record is not None else 0

    def lock_wanted(self, lock: Any, name: str) -> None:
        """Record that the running task asks for a lock that it does not get at once."""
        lock = _innermost(lock)
        if not self._hooked and lock.locked():
            self._world.resources.wait_started(lock, "acquire", _users_frame(), name)

    def lock_taken(self, lock: Any, name: str) -> int:
        """Record that the running task has a lock; return the number of the lock's record."""
        lock = _innermost(lock)
        resources = self._world.resources
        if not self._hooked:
            resources.wait_ended(lock)
        if not self._is_held(lock):
            resources.acquired_by(lock, _users_frame(), name, _permits(lock))
            self._by_hand.add((id(lock), self.running_task()))
        return resources.lock_of(lock, name).serial

    def _is_held(self, lock: Any) -> bool:
        """Say whether a hook has recorded that the running task holds the lock."""
        record = self._world.resources.locks.get(id(lock))
        task = self._world.tasks.current()
        return record is not None and any(hold.owner is task for hold in record.holds)

    def lock_given_back(self, lock: Any) -> None:
        """Record that the running task is about to release a lock."""
        lock = _innermost(lock)
        key = (id(lock), self.running_task())
        if key in self._by_hand:
            self._by_hand.discard(key)
            self._world.resources.released_by(lock, _users_frame())

    def lock_not_taken(self, lock: Any) -> None:
        """Record that the running task does not wait for a lock any more, and has it not."""
        if not self._hooked:
            self._world.resources.wait_ended(_innermost(lock), resolved=False)

    def session_opened(self, name: str) -> int:
        """Record that a session with an SDK is open; return its number."""
        return self._world.sessions.opened(name, _users_frame())

    def session_closed(self, number: int) -> None:
        """Record that it is closed."""
        self._world.sessions.closed(number)

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counters of all trackers."""
        return self._world.statistics()

    def findings(self) -> list[dict[str, Any]]:
        """Return what the detectors have found, as in the JSON report."""
        from autoinstrument.export import report

        document = report.report(self._world.findings.all(), {}, 0.0, 0.0)
        return list(document["findings"])


def _innermost(lock: Any) -> Any:
    """Return the lock in a condition, which is the one that tasks hold."""
    return getattr(lock, "_lock", lock) if isinstance(lock, asyncio.Condition) else lock


def _permits(lock: Any) -> int:
    """Return how many tasks could hold a lock when the running one has just taken it."""
    return int(getattr(lock, "_value", 0)) + 1


def _users_frame() -> FrameType | None:
    """Return the innermost frame that is neither ours nor contextlib's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != contextlib.__file__ and not name.startswith(_OWN_FOLDER):
            return frame
        frame = frame.f_back
    return None
