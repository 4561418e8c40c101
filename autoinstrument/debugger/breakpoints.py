"""Checks of a breakpoint before it is sent: the debugger itself fails silently in all these cases.

A condition that does not compile never stops, and so does an empty line, which the debugger even
reports as verified (debugpy 1.8).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from .errors import BreakpointRefused

if TYPE_CHECKING:
    from .model import BreakpointSpec

HIT_CONDITION = re.compile(r"\s*(?P<sign>==|>=|<=|>|<|%)?\s*(?P<number>\d+)\s*")


def full_path(path: str | Path) -> str:
    """Return the path as the debugger wants it: absolute, links not resolved."""
    return str(Path(path).absolute())


def check_breakpoint(path: str, spec: BreakpointSpec) -> BreakpointSpec:
    """Return the breakpoint, moved to the next line that has code if the file can be read here.

    Raises:
        BreakpointRefused: it could never hit.
    """
    if spec.line < 1:
        raise BreakpointRefused(f"breakpoint line must be 1 or more, not {spec.line}")
    if spec.condition:
        check_expression(spec.condition, "condition")
    if spec.hit_condition and not HIT_CONDITION.fullmatch(spec.hit_condition):
        raise BreakpointRefused(
            f"hit condition must look like '5', '>= 5' or '% 4', not {spec.hit_condition!r}"
        )
    return replace(spec, line=next_code_line(path, spec.line))


def check_expression(expression: str, what: str) -> None:
    """Raise `BreakpointRefused` if the text is not an expression."""
    try:
        compile(expression, "<condition>", "eval")
    except (SyntaxError, ValueError) as exc:
        raise BreakpointRefused(f"{what} does not compile: {expression!r}: {exc}") from exc


def next_code_line(path: str, line: int) -> int:
    """Return the first line from `line` on that has code, `line` itself if nothing is known."""
    lines = lines_with_code(path)
    return next((n for n in lines if n >= line), lines[-1] if lines else line)


def lines_with_code(path: str) -> tuple[int, ...]:
    """Return the lines of a file that a breakpoint can hit, empty if it cannot be read here."""
    found: set[int] = set()
    for _, lines in _functions(path):
        found |= lines
    return tuple(sorted(found))


def function_lines(path: str, line: int) -> frozenset[int]:
    """Return the lines with code of the innermost function around a line, if it can be read."""
    around = [(first, lines) for first, lines in _functions(path) if line in lines]
    return max(around, key=lambda entry: entry[0])[1] if around else frozenset()


def _functions(path: str) -> tuple[tuple[int, frozenset[int]], ...]:
    try:
        stat = Path(path).stat()
    except OSError:
        return ()
    return _compiled_functions(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _compiled_functions(
    path: str, _mtime_ns: int, _size: int
) -> tuple[tuple[int, frozenset[int]], ...]:
    """Return first line and lines with code of every code object of a file."""
    try:
        code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return ()
    found: list[tuple[int, frozenset[int]]] = []
    _collect(code, found)
    return tuple(found)


def _collect(code: CodeType, found: list[tuple[int, frozenset[int]]]) -> None:
    own = frozenset(line for _, _, line in code.co_lines() if line)
    # The first line of a function's code is its `def`, which runs in the enclosing code.
    inside = own if code.co_name == "<module>" else own - {code.co_firstlineno}
    found.append((code.co_firstlineno, inside))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _collect(constant, found)
