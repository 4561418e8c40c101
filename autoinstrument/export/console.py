"""The summary on stderr: findings first, with their source lines; one line when all is well."""

import linecache
import textwrap
from typing import Final

from autoinstrument.findings import Finding
from autoinstrument.places import Place

_WIDTH: Final = 96
_MOST_SHOWN: Final = 20


class Style:
    """Colours for a terminal, or none."""

    def __init__(self, *, colours: bool) -> None:
        """Choose escape sequences or empty strings."""
        self.bold = "\x1b[1m" if colours else ""
        self.red = "\x1b[31m" if colours else ""
        self.yellow = "\x1b[33m" if colours else ""
        self.dim = "\x1b[2m" if colours else ""
        self.cyan = "\x1b[36m" if colours else ""
        self.end = "\x1b[0m" if colours else ""


def summary(
    findings: list[Finding],
    statistics: dict[str, dict[str, int]],
    seconds: float,
    *,
    colours: bool = False,
    notes: list[str] | None = None,
) -> str:
    """Return the text of the summary; `seconds` is how long the process was watched."""
    style = Style(colours=colours)
    counted = _counted(statistics, seconds)
    if not findings:
        lines = [f"asyncscope: no findings; {counted}"]
    else:
        total = sum(finding.count for finding in findings)
        found = _amount(len(findings), "finding")
        times = "" if total == len(findings) else f" ({total} occurrences)"
        lines = [f"{style.bold}asyncscope: {found}{times}{style.end}; {counted}", ""]
        for number, finding in enumerate(findings[:_MOST_SHOWN], 1):
            lines += [*_finding(number, finding, style), ""]
        if len(findings) > _MOST_SHOWN:
            lines += [f"  ... and {len(findings) - _MOST_SHOWN} more in the report.", ""]
    lines += [f"asyncscope: {plain(note)}" for note in notes or ()]
    if findings:
        kinds = findings[0].kind
        lines.append(
            f"{style.dim}Read more: asyncscope explain {kinds}. Silence a line with "
            f"`# asyncscope: ignore[{kinds}]`.{style.end}"
        )
    return "\n".join(lines) + "\n"


def _counted(statistics: dict[str, dict[str, int]], seconds: float) -> str:
    counts = (
        (statistics["tasks"]["created"], "task"),
        (statistics["scopes"]["entered"], "scope"),
        (statistics["generators"]["started"], "async generator"),
    )
    things = ", ".join(_amount(count, noun) for count, noun in counts)
    return f"{things} watched for {seconds:.1f} s"


def _amount(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _finding(number: int, finding: Finding, style: Style) -> list[str]:
    colour = style.red if finding.severity == "error" else style.yellow
    possible = "possible: " if finding.possible else ""
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    lines = [f"{colour}{number}. {possible}{finding.kind}{style.end}{times}"]
    lines += _source(finding.location, style)
    lines += textwrap.wrap(
        plain(finding.message), _WIDTH, initial_indent="   ", subsequent_indent="   "
    )
    shown = {finding.location}
    for item in finding.related:
        if item.place in shown:
            continue
        shown.add(item.place)
        task = f' (task "{plain(item.task)}")' if item.task else ""
        lines.append(f"   {style.dim}{item.role}: {_where(item.place)}{task}{style.end}")
    lines += textwrap.wrap(
        f"What to do: {finding.remedy}", _WIDTH, initial_indent="   ", subsequent_indent="   "
    )
    return lines


def _where(place: Place) -> str:
    return plain(f"{place.file}:{place.line} in {place.function}")


def _source(place: Place | None, style: Style) -> list[str]:
    if place is None:
        return []
    lines = [
        f"   {style.cyan}{plain(place.file)}:{place.line}{style.end} in {plain(place.function)}"
    ]
    text = plain(linecache.getline(place.file, place.line).strip())
    if text:
        lines.append(f"   {style.bold}>{style.end} {text}")
    return lines


def plain(text: str) -> str:
    """Return a text without what would steer the terminal: task names come from anywhere."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
