"""The findings of one process: said once, counted afterwards, silenced where asked."""

import ast
import linecache
import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from autoinstrument.places import Place, Value

KINDS: Final = (
    "cross_task_scope_exit",
    "scope_nesting_violation",
    "scope_leaked",
    "cancel_delivery_spin",
    "async_generator_not_closed",
    "async_generator_cross_task",
    "task_leaked",
    "task_garbage_collected",
    "task_exception_never_retrieved",
    "gather_orphan",
    "cancellation_swallowed",
    "cancellation_slow",
    "lock_deadlock",
    "lock_reentry",
    "lock_released_by_other_task",
    "lock_held_at_task_end",
    "lock_contention",
    "event_loop_blocked",
    "task_wait_cycle",
    "wait_never_resolved",
    "shield_orphan",
    "coroutine_never_awaited",
    "wrong_event_loop",
)
_MOST_OF_A_KIND: Final = 50
_COMMENT: Final = r"#\s*asyncscope:\s*ignore(?:\[([a-z_,\s]*)\])?"


def select(text: str) -> tuple[frozenset[str], str]:
    """Return the kinds that `ASYNCSCOPE_DETECT` asks for, and a problem or "".

    `all` and nothing mean every kind; `-kind` removes one; names alone choose just these.
    """
    chosen: set[str] = set()
    removed: set[str] = set()
    unknown = []
    for part in filter(None, (word.strip() for word in text.split(","))):
        name = part.lstrip("-")
        if name in {"all", "none"}:
            chosen |= set(KINDS) if name == "all" else {"none"}
        elif name not in KINDS:
            unknown.append(name)
        elif part.startswith("-"):
            removed.add(name)
        else:
            chosen.add(name)
    kinds = frozenset((chosen or set(KINDS)) - removed) & frozenset(KINDS)
    return kinds, unknown_kinds("ASYNCSCOPE_DETECT", unknown)


def unknown_kinds(variable: str, names: Sequence[str]) -> str:
    """Return a line about unknown kinds with the nearest right ones, or ""."""
    if not names:
        return ""
    import difflib  # only after a mistake

    said = []
    for name in names:
        near = difflib.get_close_matches(name, KINDS, 1)
        said.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    return f"{variable} names unknown kinds: {', '.join(said)}; they are left out"


class Related(Value):
    """A further place that belongs to a finding, and what happened there."""

    __slots__ = ("role", "place", "task")  # noqa: RUF023 - the order in which it is written

    def __init__(self, role: str, place: Place, task: str = "") -> None:
        """Keep the place and the name of the task that was there."""
        self.role = role
        self.place = place
        self.task = task


class Finding(Value):
    """What a detector found: a sentence, the line to open first, and what to do.

    `first_seen` is seconds since the epoch. `stack` is innermost first.
    """

    __slots__ = (  # noqa: RUF023 - the order in which it is written
        "kind",
        "message",
        "remedy",
        "location",
        "severity",
        "task",
        "related",
        "stack",
        "count",
        "first_seen",
        "possible",
        "key",
    )

    __hash__ = None  # type: ignore[assignment]  # it changes: occurrences are counted

    def __init__(
        self,
        kind: str,
        message: str,
        remedy: str,
        location: Place | None,
        severity: str = "error",
        task: str = "",
        related: list[Related] | None = None,
        stack: list[Place] | None = None,
        count: int = 1,
        first_seen: float = 0.0,
        *,
        possible: bool = False,
        key: Any = None,
    ) -> None:
        """Keep what was found.

        Findings with the same kind, location and key are one; the key is never exported.
        """
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.location = location
        self.severity = severity
        self.task = task
        self.related = [] if related is None else related
        self.stack = [] if stack is None else stack
        self.count = count
        self.first_seen = first_seen
        self.possible = possible
        self.key = key


Report = Callable[[Finding], None]
"""Where a detector puts what it found."""


class FindingStore:
    """Collects findings from all threads; the same fault at the same place is one."""

    def __init__(self, kinds: frozenset[str], baseline: frozenset[str] = frozenset()) -> None:
        """Accept findings of `kinds` that the baseline does not know."""
        self.kinds = kinds
        self.dropped: dict[str, int] = {}
        self.silenced = 0
        self._baseline = baseline
        self._found: dict[tuple[Any, ...], Finding] = {}
        self._kept: set[int] = set()  # identities of these
        self._lock = threading.RLock()  # a collection inside may report as well
        self.added: list[Callable[[Finding], None]] = []
        self.before_reading: list[Callable[[], None]] = []  # what was counted elsewhere is told

    def add(self, finding: Finding, times: int = 1) -> bool:
        """Take a finding, made so many times; return whether it is new and wanted."""
        if finding.kind not in self.kinds:
            return False
        key = (finding.kind, finding.location, finding.key)
        with self._lock:
            known = self._found.get(key)
            if known is not None:
                known.count += times
                return False
            if sum(found[0] == finding.kind for found in self._found) >= _MOST_OF_A_KIND:
                self.dropped[finding.kind] = self.dropped.get(finding.kind, 0) + times
                return False
            if self._is_silenced(finding):
                self.silenced += times
                return False
            finding.count += times - 1
            finding.first_seen = time.time()
            self._found[key] = finding
            self._kept.add(id(finding))
        for tell in self.added:
            tell(finding)
        return True

    def again(self, finding: Finding, times: int = 1) -> None:
        """Take a finding that was handed over before; it is counted without being compared."""
        with self._lock:
            if id(finding) in self._kept:
                finding.count += times
                return
        finding.count = 1  # in a forked child, the parent has counted
        self.add(finding, times)

    def all(self) -> list[Finding]:
        """Return the findings in the order in which they were made."""
        for tell in self.before_reading:
            tell()
        with self._lock:
            return list(self._found.values())

    def reset(self) -> None:
        """In a forked child: forget what the parent found."""
        self._lock = threading.RLock()
        self._found.clear()
        self._kept.clear()
        self.dropped.clear()

    def _is_silenced(self, finding: Finding) -> bool:
        if fingerprint(finding) in self._baseline:
            return True
        place = finding.location
        return place is not None and silenced_by_comment(place, finding.kind)


# Asked inside the faulty call each time a silenced finding is made again.
@lru_cache(maxsize=1024)
def silenced_by_comment(place: Place, kind: str) -> bool:
    """Whether the line of a place, or its statement's first line, says `# asyncscope: ignore`."""
    for number in _statement_lines(place):
        match = re.search(_COMMENT, linecache.getline(place.file, number))
        if match and (match[1] is None or kind in [name.strip() for name in match[1].split(",")]):
            return True
    return False


def _statement_lines(place: Place) -> range:
    """Return the lines of the simple statement, or of the header, around a place."""
    best = range(place.line, place.line + 1)
    try:
        tree = ast.parse("".join(linecache.getlines(place.file)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return best
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            if end is not None and node.lineno <= place.line <= end:
                best = range(node.lineno, end + 1)
    return best


def fingerprint(finding: Finding) -> str:
    """Return what identifies a finding over edits of the file: kind, file name, function."""
    place = finding.location
    if place is None:
        return f"{finding.kind}::"
    return f"{finding.kind}:{place.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{place.function}"


def read_baseline(path: str) -> tuple[frozenset[str], str]:
    """Return the fingerprints of a baseline file and a problem or ""."""
    import json

    try:
        with open(path, encoding="utf-8") as stream:
            known = json.load(stream)["known"]
        if not all(isinstance(item, str) for item in known):
            raise ValueError("entries are not text")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        return frozenset(), (
            f"baseline {path!r} is not usable ({type(exc).__name__}: {exc}); all findings are shown"
        )
    return frozenset(known), ""
