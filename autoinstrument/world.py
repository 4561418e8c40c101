"""What detectors can look at: all trackers of one agent, its settings, and where to report."""

from typing import TYPE_CHECKING, Any, Final

from autoinstrument.config.schema import Settings
from autoinstrument.findings import Finding, FindingStore, Related
from autoinstrument.looks import Looks
from autoinstrument.places import is_user_file
from autoinstrument.trackers.generators import GeneratorTracker
from autoinstrument.trackers.hops import HopTracker
from autoinstrument.trackers.loops import LoopTracker
from autoinstrument.trackers.moments import Moments
from autoinstrument.trackers.resources import ResourceTracker
from autoinstrument.trackers.scopes import ScopeTracker
from autoinstrument.trackers.sessions import SessionTracker
from autoinstrument.trackers.tasks import TaskTracker

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_CALLERS: Final = 2


class World:
    """The records of one process, by tracker."""

    def __init__(self, settings: Settings, moments: Moments, findings: FindingStore) -> None:
        """Make empty trackers that share the moments."""
        depth = settings.stack_depth
        self.settings = settings
        self.moments = moments
        self.findings = findings
        self.tasks = TaskTracker(moments, depth)
        self.scopes = ScopeTracker(moments, self.tasks, depth)
        contended_ns = settings.lock_wait_ms * 1_000_000
        self.resources = ResourceTracker(moments, self.tasks, depth, contended_ns)
        self.generators = GeneratorTracker(moments, self.tasks, depth)
        self.loops = LoopTracker(moments)
        self.hops = HopTracker(self.tasks, depth)
        self.sessions = SessionTracker(self.tasks, depth)
        self.tasks.hidden = self.loops.hidden
        findings.before_reading.append(self.generators.tell_again)
        moments.on("tick", self.tasks.tell_of_scopes)
        moments.on("loop_closing", self.generators.loop_gone)
        moments.on("loop_dropped", self.generators.loop_gone)
        self.looks = Looks(self.tasks, self.resources, moments)
        self.inner_of_shield: Callable[[Any], Any] = _nothing

    def report(self, finding: Finding) -> None:
        """Hand a finding over, together with the calls that led to its place."""
        finding.related += _callers(finding)
        self.findings.add(finding)

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counters of all trackers; of sessions only if the program named any."""
        counts = {
            "tasks": self.tasks.statistics(),
            "scopes": self.scopes.statistics(),
            "locks": self.resources.statistics(),
            "generators": self.generators.statistics(),
            "loops": self.loops.statistics(),
            "dropped": {
                "findings": sum(self.findings.dropped.values()),
            },
        }
        if self.sessions.count:
            counts["sessions"] = self.sessions.statistics()
        return counts


def _callers(finding: Finding) -> list[Related]:
    """Return the program's lines from which the function of a finding's place was called."""
    if finding.location not in finding.stack:
        return []
    known = {finding.location, *(item.place for item in finding.related)}
    outer = finding.stack[finding.stack.index(finding.location) + 1 :]
    calls = [place for place in outer if is_user_file(place.file) and place not in known]
    return [Related("called from", place) for place in calls[:_MOST_CALLERS]]


def _nothing(future: Any) -> None:
    """Stand in until the hook of `asyncio.shield` tells which task an outer future hides."""
