"""The parts of spans that repeat: names and code places, resolved once and kept.

Resolving a place costs microseconds, encoding it costs more; a program has few places.
"""

import sys
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any, Final, TypeVar

from autoinstrument.export.trace_settings import MAIN_FILE
from autoinstrument.places import (
    Place,
    absolute,
    is_own_file,
    is_stdlib_file,
    is_user_file,
    line_of,
)
from autoinstrument.records import RUNNING, FlatStack, RawPlace, RawStack, TaskRecord, pairs

Value = str | int | float | bool
Attribute = tuple[str, Value]

TASK_ID: Final = "asyncscope.task.id"
SCOPE_ID: Final = "asyncscope.scope.id"
_KEEP: Final = 10_000

_AROUND_EACH_TASK: Final = "TaskHandle._run_coro"
"""Where anyio 4.14 and newer enter a scope for each task that they run."""


class Static:
    """The constant part of a kind of span: its name and attributes, and their encoding.

    `encoded` belongs to the encoder and is None until it used the part.
    """

    __slots__ = ("attributes", "encoded", "first", "name")

    def __init__(self, name: str, attributes: tuple[Attribute, ...]) -> None:
        """Keep name and attributes."""
        self.name = name
        self.attributes = attributes
        self.first = ""  # the first of the other attributes of each such span, a number
        self.encoded: tuple[str, str, str] | None = None


_Key = TypeVar("_Key")
_Whole = tuple[CodeType | None, FlatStack, str, int, str, Static]
"""What a task runs, where it was created, its outcome, thread and name; and what follows."""


def _keep(
    table: dict[_Key, tuple[CodeType | None, Static]],
    key: _Key,
    code: CodeType | None,
    part: Static,
) -> Static:
    if len(table) >= _KEEP:
        table.clear()
    table[key] = (code, part)  # the code is kept so that its id stays its own
    return part


class Site:
    """A place where scopes of a kind are entered, with the constant part of their spans."""

    __slots__ = ("around_task", "by_library", "flat", "static")

    def __init__(
        self, flat: FlatStack, static: Static, *, by_library: bool, around_task: bool
    ) -> None:
        """Keep what is the same for all scopes of the place."""
        self.flat = flat
        self.static = static
        self.by_library = by_library
        self.around_task = around_task


class Statics:
    """Makes each constant part once, by identity of code objects; used by one thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._tasks: dict[tuple[int, str], tuple[CodeType | None, Static]] = {}
        self._whole: dict[tuple[Any, ...], _Whole] = {}
        self._last: _Whole = (None, (), "", 0, "", Static("", ()))
        self._placed: dict[tuple[str, int, int], tuple[CodeType | None, Static]] = {}
        self._sites: dict[tuple[Any, ...], Site] = {}
        self._places: dict[tuple[int, int], tuple[CodeType, str]] = {}
        self._ranks: dict[int, tuple[CodeType, int]] = {}

    def of_code(self, prefix: str, name: str, code: CodeType | None) -> Static:
        """Return the part of a span about a function: a task's or a generator's."""
        found = self._tasks.get((id(code), name))
        if found is not None:
            return found[1]
        attributes: tuple[Attribute, ...] = (("asyncscope.kind", prefix),)
        if code is not None:
            attributes += code_attributes(code, code.co_firstlineno, name)
        return _keep(self._tasks, (id(code), name), code, Static(name, attributes))

    def of_task(self, record: TaskRecord, thread_id: int = 0) -> Static:
        """Return the part of a task's span: what it runs, where it was created, how it ended.

        The thread is part of it, as few have a loop; 0 when it is not known.
        """
        flat = record.flat_stack
        code = record.code
        outcome = record.outcome
        last = self._last  # tasks made in a row in one place share their stack
        if (
            last[1] is flat
            and last[0] is code
            and last[2] is outcome
            and last[3] == thread_id
            and last[4] == record.qualname
        ):
            return last[5]
        key = (id(code), outcome, thread_id, id(flat[0]) if flat else 0, flat[1::2])
        found = self._whole.get(key)
        if found is not None and found[1] == flat and found[4] == record.qualname:
            self._last = found
            return found[5]
        stack = record.stack
        part = self.of_code("task", record.qualname, code)
        attributes = (*part.attributes, ("asyncscope.task.outcome", outcome or RUNNING))
        if thread_id:
            attributes += (("thread.id", thread_id),)
        where = self.where(stack)
        if where:
            attributes += (("asyncscope.task.created_at", where),)
        if len(self._whole) >= _KEEP:
            self._whole.clear()
        whole = Static(part.name, attributes)
        whole.first = TASK_ID
        # Code and stack are kept so that their ids stay their own.
        self._last = self._whole[key] = (code, flat, outcome, thread_id, record.qualname, whole)
        return whole

    def of_place(self, name: str, kind: str, stack: RawStack) -> Static:
        """Return the part of a span about a line: a scope, a wait, a blocked period."""
        raw = self.first(stack)
        key = (name + kind, id(raw[0]), raw[1]) if raw is not None else (name + kind, 0, 0)
        found = self._placed.get(key)
        if found is not None:
            return found[1]
        attributes: tuple[Attribute, ...] = (("asyncscope.kind", kind),)
        code = None
        if raw is not None:
            code = raw[0]
            attributes += code_attributes(code, line_of(*raw), code.co_qualname)
        return _keep(self._placed, key, code, Static(name, attributes))

    def of_scope(self, kind: str, flat: FlatStack) -> Site:
        """Return what is known of the place where a scope was entered."""
        key = (kind, id(flat[0]) if flat else 0, flat[1::2])
        found = self._sites.get(key)
        if found is not None and found.flat == flat:
            return found
        stack = pairs(flat)
        if len(self._sites) >= _KEEP:
            self._sites.clear()
        static = self.of_place(kind, "scope", stack)
        static.first = SCOPE_ID
        site = self._sites[key] = Site(
            flat,
            static,
            by_library=bool(stack) and not self.is_users(stack[0]),
            around_task=bool(stack) and stack[0][0].co_qualname == _AROUND_EACH_TASK,
        )
        return site

    def where(self, stack: RawStack) -> str:
        """Return `file:line` of the line to open, or an empty string."""
        raw = self.first(stack)
        if raw is None:
            return ""
        key = (id(raw[0]), raw[1])
        found = self._places.get(key)
        if found is not None:
            return found[1]
        text = f"{absolute(raw[0].co_filename)}:{line_of(*raw)}"
        if len(self._places) >= _KEEP:
            self._places.clear()
        self._places[key] = (raw[0], text)
        return text

    def first(self, stack: RawStack) -> RawPlace | None:
        """Return the frame to open, as `places.first_place` chooses it, without resolving it."""
        best = None
        best_rank = 3
        for raw in stack:
            rank = self._rank(raw[0])
            if rank == 0:
                return raw
            if rank < best_rank:
                best, best_rank = raw, rank
        return best

    def is_users(self, raw: RawPlace) -> bool:
        """Whether a place is in the program itself, not in a library."""
        return self._rank(raw[0]) == 0

    def _rank(self, code: CodeType) -> int:
        found = self._ranks.get(id(code))
        if found is not None:
            return found[1]
        name = code.co_filename
        rank = 0 if is_user_file(name) else 2 if is_stdlib_file(name) or is_own_file(name) else 1
        if len(self._ranks) >= _KEEP:
            self._ranks.clear()
        self._ranks[id(code)] = (code, rank)
        return rank


def code_attributes(code: CodeType, line: int, qualname: str) -> tuple[Attribute, ...]:
    """Return the stable `code.*` attributes.

    A coroutine may be called otherwise than its code: libraries run what they are given inside
    one of their own and hand its name on. Then the place is theirs, and is left out.
    """
    if code.co_qualname != qualname:
        return (("code.function.name", qualname),)
    module = module_of(code.co_filename)
    return (
        ("code.function.name", f"{module}.{qualname}" if module else qualname),
        ("code.file.path", absolute(code.co_filename)),
        ("code.line.number", line),
    )


def place_attributes(place: Place) -> tuple[Attribute, ...]:
    """Return the stable `code.*` attributes of a resolved place."""
    module = module_of(place.file)
    return (
        ("code.function.name", f"{module}.{place.function}" if module else place.function),
        ("code.file.path", place.file),
        ("code.line.number", place.line),
    )


@lru_cache(maxsize=4096)
def module_of(filename: str) -> str:
    """Return the name of the module that was loaded from a file, or an empty string."""
    if filename == MAIN_FILE:
        return "__main__"
    for name, module in _modules():
        if module.__dict__.get("__file__") == filename:
            return name
    return ""


def _modules() -> Iterable[tuple[str, ModuleType]]:
    # Plain modules only: reading an attribute of a lazy one could import it.
    return [(n, m) for n, m in list(sys.modules.items()) if type(m) is ModuleType]
