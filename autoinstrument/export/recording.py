"""A recording: what is known about a process, written while it runs, a JSON line at a time.

Theory of operation. A report is written at exit, and some processes have none: `kill -9`, a
crash, `os._exit`, the out-of-memory killer. A recording is appended to once a second by the
agent's thread. Each line is complete in itself and goes to the operating system in one call, so
that whatever happens to the process, everything but the last second can be read.

Lines are objects with a `type`: `process` (first, with the format's version), `finding` (a
`number`, and the finding as in a report; a later line with the same number replaces it), `state`
(`at`, and `statistics` and `tasks` if they changed), `dropped` (lines left out when the file
reached its bound and was written anew) and `end`. `read_recording` is the reader.
"""

import json
import os
from collections.abc import Callable
from itertools import islice
from time import time
from typing import Any, Final

from autoinstrument import stacks
from autoinstrument.export import files
from autoinstrument.export.report import finding_document, place_document, process, timestamp
from autoinstrument.places import first_place
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

VERSION: Final = 1
_MOST_BYTES: Final = 32 << 20
_MOST_TASKS: Final = 200  # shown in each state
_MOST_LOOKED_AT: Final = 2_000


class Recorder:
    """Writes the recording of one process; after a fork the child needs another one."""

    def __init__(
        self,
        path: str,
        world: World,
        say: Callable[[str], None],
        *,
        started: float | None = None,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Write nothing until `drain` is called; what was at `path` is replaced then.

        Args:
            path: the file.
            world: what is recorded.
            say: puts one line on stderr.
            started: when the process was first watched, in seconds since the epoch; default now.
            most_bytes: the length at which the file is written anew.
        """
        self._path = path
        self._world = world
        self._say = say
        self._most_bytes = most_bytes
        self._started = time() if started is None else started
        self._begun = False
        self._said = False
        self._torn = False
        self._lines = 0  # in the file
        self._dropped = 0
        self._counts: list[int] = []  # of the findings, as they were written last
        self._statistics: dict[str, Any] = {}
        self._tasks: list[dict[str, Any]] = []

    def drain(self) -> None:
        """Append what is new; called once a second in the agent's thread."""
        try:
            if not self._begun:
                self._begin()
            lines = [*self._news(), self._state()]
            size = files.append(self._path, _encoded(lines), after_torn=self._torn)
            self._torn = False
            self._lines += len(lines)
            if not size and self._lines > len(lines):
                self._write_anew()  # the file was taken away meanwhile
            elif size > self._most_bytes:
                self._dropped += self._lines
                self._write_anew()
        except OSError as exc:
            self._torn = True
            self._counts.clear()  # say everything again when there is room again
            self._tell(exc)

    def finish(self) -> None:
        """Append the last state and the end, on the exiting thread."""
        self.drain()
        if not self._torn:
            try:
                files.append(self._path, _encoded([{"type": "end", "at": timestamp(time())}]))
            except OSError as exc:
                self._tell(exc)

    def _begin(self) -> None:
        """Replace what an earlier process has left."""
        if files.is_special(self._path):
            files.append(self._path, _encoded([self._process()]))
        else:
            files.replace(self._path, _encoded([self._process()]))
        self._begun = True
        self._lines = 1

    def _write_anew(self) -> None:
        """Replace the file by what is needed to understand the present state."""
        self._counts.clear()
        self._statistics, self._tasks = {}, []
        lines = [
            self._process(),
            {"type": "dropped", "lines": self._dropped},
            *self._news(),
            self._state(),
        ]
        files.replace(self._path, _encoded(lines))
        self._lines = len(lines)

    def _tell(self, exc: OSError) -> None:
        if not self._said:
            self._said = True
            self._say(
                f"the recording {self._path!r} cannot be written ({exc.strerror or exc}); "
                "it is tried again each second (recording)"
            )

    # -- lines -----------------------------------------------------------------------------

    def _process(self) -> dict[str, Any]:
        return {"type": "process", "version": VERSION, **process(self._started)}

    def _news(self) -> list[dict[str, Any]]:
        """Return the findings that are new, or were made again."""
        found = []
        for number, finding in enumerate(self._world.findings.all()):
            known = self._counts[number] if number < len(self._counts) else 0
            if finding.count != known:
                self._counts[number:] = [finding.count, *self._counts[number + 1 :]]
                found.append({"type": "finding", "number": number, **finding_document(finding)})
        return found

    def _state(self) -> dict[str, Any]:
        """Return the time, and what changed since the last state."""
        state: dict[str, Any] = {"type": "state", "at": timestamp(time())}
        statistics, tasks = self._world.statistics(), _waiting(self._world)
        if statistics != self._statistics:
            state["statistics"] = self._statistics = statistics
        if tasks != self._tasks:
            state["tasks"] = self._tasks = tasks
        return state


def _encoded(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")


def _waiting(world: World) -> list[dict[str, Any]]:
    """Return up to 200 open tasks, oldest first, and where each of them is parked."""
    found: list[dict[str, Any]] = []
    for record in islice(list(world.tasks.live.values()), _MOST_LOOKED_AT):
        if len(found) == _MOST_TASKS:
            break
        if not record.ended:
            found.append(_task(record))
    return found


def _task(record: TaskRecord) -> dict[str, Any]:
    task = record()
    parked = first_place(stacks.parked(task)) if task is not None else None
    wait = record.wait
    return {
        "serial": record.serial,
        "name": record.name,
        "qualname": record.qualname,
        "waiting_at": place_document(parked) if parked is not None else None,
        "waits_for": f"{wait.lock.kind} #{wait.lock.serial}" if wait is not None else "",
    }


# -- reading ---------------------------------------------------------------------------------


class Recording:
    """A recording that was read; `report()` gives it the shape of a report."""

    def __init__(self, head: dict[str, Any]) -> None:
        """Start with the line about the process."""
        self.process = head
        self.findings: dict[int, dict[str, Any]] = {}
        self.statistics: dict[str, Any] = {}
        self.tasks: list[dict[str, Any]] = []
        self.at: str = head["started"]
        self.ended = False
        """Whether the process came to its own end; otherwise it runs yet, or was killed."""
        self.dropped = 0
        self.damaged = 0
        """Lines that could not be read; a process that is killed may leave one."""

    def take(self, line: dict[str, Any]) -> None:
        """Take one line.

        Raises:
            KeyError, TypeError, ValueError: it is none of a recording.
        """
        kind = line["type"]
        if kind == "finding":
            finding = {key: line[key] for key in _FINDING}
            if not isinstance(line["number"], int) or not isinstance(line["kind"], str):
                raise TypeError(kind)
            self.findings[line["number"]] = finding
        elif kind == "dropped":
            self.dropped += int(line["lines"])
        elif kind in {"state", "end"}:
            self._state(line)
            self.ended = kind == "end"

    def _state(self, line: dict[str, Any]) -> None:
        statistics, tasks = line.get("statistics", self.statistics), line.get("tasks", self.tasks)
        if not (isinstance(line["at"], str) and isinstance(statistics, dict)):
            raise TypeError("state")
        if not (isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)):
            raise TypeError("tasks")
        self.at, self.statistics, self.tasks = line["at"], statistics, tasks

    def report(self) -> dict[str, Any]:
        """Return the document that a report would have been at the recording's last moment."""
        return {
            "version": 1,
            "process": {**self.process, "ended": self.at},
            "findings": [self.findings[number] for number in sorted(self.findings)],
            "statistics": self.statistics,
        }


_FINDING: Final = (
    *("kind", "message", "remedy", "severity", "possible", "count", "first_seen"),
    *("task", "location", "related", "stack"),
)


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a recording, also one that is being written or whose process was killed.

    Lines that are damaged are counted and left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no recording, or of a newer format.
    """
    recording: Recording | None = None
    damaged = 0
    with open(path, "rb") as stream:
        for raw in stream:
            try:
                line = json.loads(raw)
                if recording is None:
                    recording = _head(line)
                else:
                    recording.take(line)
            except _NewerFormatError:
                raise
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged += 1
    if recording is None:
        raise ValueError(f"{os.fspath(path)!r} is no recording of asyncscope")
    recording.damaged = damaged
    return recording


class _NewerFormatError(ValueError):
    """The file says that it was written by a later version."""


def _head(line: Any) -> Recording:
    """Return a recording that begins with this line.

    Raises:
        KeyError, TypeError, ValueError: it is another kind of line.
    """
    if line["type"] != "process" or not isinstance(line["version"], int):
        raise ValueError("not the first line")
    if line["version"] > VERSION:
        raise _NewerFormatError(f"recording of version {line['version']}; this reads {VERSION}")
    head = {key: line[key] for key in ("pid", "python", "argv", "started")}
    if not isinstance(head["started"], str):
        raise TypeError("started")
    return Recording(head)
