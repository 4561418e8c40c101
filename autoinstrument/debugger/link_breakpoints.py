"""The breakpoints of all sessions for one process, merged into what its one client may set.

A file's breakpoints are always sent together and a line holds one: the sessions' wishes are merged,
and after a stop it is decided whose they were.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from . import current
from .errors import RequestFailed
from .model import BreakpointSpec, StackFrame, Stop

if TYPE_CHECKING:
    from .client import AsyncDebugClient
    from .session import DebugSession, SessionBreakpoint

# Tells whose a log point's output is.
MARK: Final = "\x1f"


class MergedBreakpoints:
    """Part of `Link`; runs in its home loop.

    Attributes:
        own_process: Whether the debugged process is this one.
        sessions: The open sessions, by id.
    """

    def __init__(self, client: AsyncDebugClient, *, own_process: bool) -> None:
        """Start without any."""
        self.client = client
        self.own_process = own_process
        self.sessions: dict[str, DebugSession] = {}
        self._ids: dict[int, current.Place] = {}
        self._paths: set[str] = set()
        # The keys of all breakpoints that a line has had so far.
        self._owners: defaultdict[current.Place, set[str]] = defaultdict(set)
        self._sync_lock = asyncio.Lock()

    def _log_point(self, point: SessionBreakpoint, message: str) -> None:
        """Take a log point's text from the thread that reached it."""
        raise NotImplementedError

    async def _deliver_log(self, point: SessionBreakpoint, message: str) -> None:
        """Give a log point's text to its session."""
        raise NotImplementedError

    async def sync(self, path: str) -> None:
        """Send the breakpoints that all sessions have in a file."""
        async with self._sync_lock:
            lines: dict[int, list[SessionBreakpoint]] = {}
            for session in self.sessions.values():
                for point in session.breakpoints.values():
                    if point.path == path:
                        lines.setdefault(point.line, []).append(point)
            if self.own_process:
                self._watch(path, lines)
            specs = [self._merged(path, line, points) for line, points in lines.items()]
            found = await self.client.set_breakpoints(path, specs)
            self._ids = {n: place for n, place in self._ids.items() if place[0] != path}
            for (line, points), answer in zip(lines.items(), found, strict=False):
                if answer.id is not None:
                    self._ids[answer.id] = (path, line)
                for point in points:
                    point.verified, point.message = answer.verified, answer.message

    def _watch(self, path: str, lines: dict[int, list[SessionBreakpoint]]) -> None:
        self._paths.add(path)
        for line, points in lines.items():
            current.watch((path, line), tuple(points), self._log_point)
        for place in current.places(path):
            if place[1] not in lines:
                current.watch(place, (), self._log_point)

    def _forget(self, path: str) -> None:
        if self.own_process:
            for place in current.places(path):
                current.watch(place, (), self._log_point)

    def _merged(self, path: str, line: int, points: list[SessionBreakpoint]) -> BreakpointSpec:
        if self.own_process:
            return BreakpointSpec(line, current.condition_for(path, line))
        self._owners[path, line].update(point.key for point in points)
        if self._decided_there((path, line), points):
            (point,) = points
            marked = f"{MARK}{point.key}{MARK}{point.log_message}" if point.log_message else None
            return BreakpointSpec(line, point.condition, point.hit_condition, marked)
        # One line holds one breakpoint: stop for any, and decide for each after the stop.
        conditions = [point.condition for point in points]
        if not all(conditions):
            return BreakpointSpec(line)
        return BreakpointSpec(line, " or ".join(f"({condition})" for condition in conditions))

    def _decided_there(self, place: current.Place, points: list[SessionBreakpoint]) -> bool:
        """Say whether every stop at a line, also one that is on its way, was meant for `points`.

        Only while the line has never had another breakpoint: a stop may have been decided by the
        condition that was sent before the last one.
        """
        return self._owners[place] == {point.key for point in points} and len(points) == 1

    async def sync_exceptions(self) -> None:
        """Send the exception breakpoints that all sessions have."""
        filters = {name for s in self.sessions.values() for name in s.exception_filters}
        wanting = [s for s in self.sessions.values() if s.exception_filters]
        limited = all(s.exception_types for s in wanting)
        types = {name for s in wanting for name in s.exception_types} if limited else set()
        await self.client.set_exception_breakpoints(*sorted(filters), types=sorted(types))

    # -- whose they are -----------------------------------------------------------------------

    def _point(self, key: str) -> SessionBreakpoint | None:
        session = self.sessions.get(key.rpartition("/")[0])
        return session.breakpoints.get(key) if session is not None else None

    def _place(self, stop: Stop, frame: StackFrame | None) -> current.Place | None:
        for number in stop.breakpoint_ids:
            if number in self._ids:
                return self._ids[number]
        if stop.reason == "breakpoint" and frame is not None:
            place = (frame.path, frame.line)
            return place if place in self._ids.values() else None
        return None

    async def _matching(
        self, place: current.Place, frame: StackFrame | None
    ) -> list[SessionBreakpoint]:
        if self.own_process:
            found = [self._point(key) for key in current.take(place)]
            return [point for point in found if point is not None]
        points = [
            point
            for session in self.sessions.values()
            for point in session.breakpoints.values()
            if (point.path, point.line) == place
        ]
        if self._decided_there(place, points):
            points[0].hits += 1
            return points
        return [point for point in points if await self._matches(point, frame)]

    async def _matches(self, point: SessionBreakpoint, frame: StackFrame | None) -> bool:
        if frame is None:
            return False
        try:
            if point.condition:
                found = await self.client.evaluate(f"bool({point.condition})", frame.id)
                if found.result != "True":
                    return False
            point.hits += 1
            if point.hit_condition and not current.hit_condition_holds(
                point.hit_condition, point.hits
            ):
                return False
            if point.log_message is not None:
                said = await self.client.evaluate("f" + repr(point.log_message), frame.id)
                await self._deliver_log(point, said.result.strip("'\""))
                return False
        except RequestFailed as exc:
            point.error = exc.text
            return False
        return True
