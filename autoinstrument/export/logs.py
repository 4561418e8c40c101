"""Log records: findings, work that has been open for long, and what was dropped."""

from collections.abc import Callable
from typing import Final

from autoinstrument.export.ids import WallClock
from autoinstrument.export.live_tasks import LiveTasks
from autoinstrument.export.spans import finding_attributes
from autoinstrument.export.statics import Attribute, Statics
from autoinstrument.export.traces import Placement
from autoinstrument.findings import Finding
from autoinstrument.records import TaskRecord
from autoinstrument.stacks import parked

_SEVERITIES: Final = {"error": (17, "ERROR"), "warning": (13, "WARN"), "info": (9, "INFO")}
_MOST_ANNOUNCED: Final = 50  # a batch


class LogRecord:
    """One log record with an event name, tied to a span where one is known."""

    __slots__ = (
        "at_ns",
        "attributes",
        "body",
        "event_name",
        "severity",
        "severity_text",
        "span_id",
        "trace_id",
    )

    def __init__(
        self,
        event_name: str,
        body: str,
        severity: str,
        at_ns: int,
        attributes: tuple[Attribute, ...],
        where: Placement | None,
    ) -> None:
        """`at_ns` counts from the epoch; `where` is the placement of the task it is about."""
        self.event_name = event_name
        self.body = body
        self.severity, self.severity_text = _SEVERITIES.get(severity, (13, "WARN"))
        self.at_ns = at_ns
        self.attributes = attributes
        self.trace_id = where.trace.trace_id if where is not None else 0
        self.span_id = where.span_id if where is not None else 0


def of_finding(finding: Finding, where: Placement | None, now_ns: int) -> LogRecord:
    """Return the log record of a finding; `now_ns` serves when it has no time."""
    return LogRecord(
        f"asyncscope.{finding.kind}",
        finding.message,
        finding.severity,
        int(finding.first_seen * 1e9) or now_ns,
        finding_attributes(finding),
        where,
    )


class LongOpen:
    """Announces each task once when it has been open for long, so that a hang shows early."""

    def __init__(self, long_open_s: float, clock: WallClock, statics: Statics) -> None:
        """Announce after `long_open_s` seconds; never if that is 0."""
        self._after_ns = int(long_open_s * 1e9)
        self._clock = clock
        self._statics = statics

    def check(
        self,
        live: LiveTasks,
        now_ns: int,
        place: Callable[[TaskRecord], Placement],
    ) -> list[LogRecord]:
        """Return log records about tasks in `live` that became too old."""
        if not self._after_ns:
            return []
        old = live.grown_old(now_ns - self._after_ns, _MOST_ANNOUNCED)
        return [self._announce(record, now_ns, place(record)) for record in old if not record.ended]

    def _announce(self, record: TaskRecord, now_ns: int, where: Placement) -> LogRecord:
        task = record()
        waiting = self._statics.where(parked(task)) if task is not None else ""
        age_s = (now_ns - record.created_ns) / 1e9
        attributes: list[Attribute] = [
            ("asyncscope.task.id", record.serial),
            ("asyncscope.task.name", record.name),
            ("asyncscope.task.age", round(age_s, 3)),
            ("code.function.name", record.qualname),
        ]
        if waiting:
            attributes.append(("asyncscope.task.parked_at", waiting))
        body = f'Task "{record.name}" ({record.qualname}) has been open for {age_s:.0f} s'
        body += f", waiting at {waiting}." if waiting else "."
        at_ns = self._clock.at(now_ns)
        return LogRecord("asyncscope.task.long_open", body, "info", at_ns, tuple(attributes), where)
