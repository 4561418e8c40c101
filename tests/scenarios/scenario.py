"""What a scenario is, and how it is read from the markers in its program.

A program is its own manifest. Comments at its head give the fields:

    # healthy                           every finding is an error
    # healthy-on: >=3.12                ... on these Pythons; elsewhere it is faulty
    # python: >=3.12                    other Pythons skip it
    # requires: anyio>=4, trio          distributions, with optional versions
    # mention: reader, connect          words which every expected finding must contain
    # mention[lock_deadlock]: reader    ... or which the one of this kind must contain

and comments at the end of code lines say where a finding is to be placed:

    await lock.acquire()  # expect: lock_deadlock

A kind marked on several lines is one expected finding; each of the lines is as good.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
TWIN_SUFFIX = "_right"

_FIELD = re.compile(r"^# (healthy|healthy-on|python|requires|mention)(?:\[(\w+)\])?(?:: (.+))?$")
_EXPECT = re.compile(r"# expect: ([\w, ]+?)\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Expected:
    """One finding that a faulty program must lead to."""

    kind: str
    lines: frozenset[int]
    mention: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A program with what is known about it."""

    id: str
    path: Path
    healthy: bool
    healthy_on: str
    python: str
    requires: tuple[str, ...]
    expected: tuple[Expected, ...]

    @property
    def twin(self) -> Path:
        """Path of the healthy program of the same shape; it need not exist."""
        return self.path.with_name(f"{self.path.stem}{TWIN_SUFFIX}.py")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def read_scenario(path: Path) -> Scenario:
    """Read the markers of one program.

    Raises:
        ValueError: The program is neither marked as healthy nor expects anything, or is both.
    """
    fields: dict[str, str] = {}
    mention: dict[str, tuple[str, ...]] = {}
    lines: dict[str, set[int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if match := _FIELD.match(line):
            name, kind, value = match.groups()
            if name == "mention":
                mention[kind or ""] = _words(value or "")
            else:
                fields[name] = value or ""
        elif match := _EXPECT.search(line):
            for kind in _words(match.group(1)):
                lines.setdefault(kind, set()).add(number)
    identifier = path.relative_to(PROGRAMS).with_suffix("").as_posix()
    if ("healthy" in fields) == bool(lines):
        raise ValueError(f"{identifier}: expected either '# healthy' or '# expect:' markers")
    return Scenario(
        id=identifier,
        path=path,
        healthy="healthy" in fields,
        healthy_on=fields.get("healthy-on", ""),
        python=fields.get("python", ""),
        requires=_words(fields.get("requires", "")),
        expected=tuple(
            Expected(kind, frozenset(where), mention.get(kind, mention.get("", ())))
            for kind, where in lines.items()
        ),
    )


@cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Read every program; those in `support` are parts of others."""
    paths = sorted(path for path in PROGRAMS.glob("*/*.py") if path.parent.name != "support")
    return tuple(read_scenario(path) for path in paths)
