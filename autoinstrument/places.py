"""Places in source: files and lines of what was recorded, and whose code they are."""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from autoinstrument.records import FlatStack, RawPlace, RawStack, TaskRecord, pairs

# bound before a test suite mocks it, or a detector of blocking calls takes us for the program
_abspath = os.path.abspath
_OWN = os.path.dirname(_abspath(__file__)) + os.sep


class Value:
    """Equal to another of its class with equal fields.

    No dataclass: to make one takes as long as to import five modules, at the start of each program.
    """

    __slots__ = ()

    def _fields(self) -> tuple[Any, ...]:
        names: tuple[str, ...] = self.__slots__
        return tuple(getattr(self, name) for name in names)

    def __eq__(self, other: object) -> bool:
        """Compare all fields."""
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        """Return the same for equal values."""
        return hash(self._fields())

    def __repr__(self) -> str:
        """Name all fields."""
        names: tuple[str, ...] = self.__slots__
        named = zip(names, self._fields(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in named)})"


class Place(Value):
    """A line of source: absolute file, 1-based line, qualified function name."""

    __slots__ = ("file", "line", "function")  # noqa: RUF023 - the order in which it is written

    def __init__(self, file: str, line: int, function: str) -> None:
        """Keep what a reader needs to open it."""
        self.file = file
        self.line = line
        self.function = function

    @property
    def short(self) -> str:
        """`file.py:41`, for sentences."""
        name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
        return f"{name}:{self.line}"


def _library_folders() -> tuple[str, ...]:
    """Return where the standard library is, as it is named and without links.

    `sysconfig` would tell as well, but takes long to import. Packages are told by `_PACKAGES`.
    """
    named = os.path.dirname(getattr(os, "__file__", ""))
    found = {_abspath(named), os.path.realpath(named)} if named else ()
    return tuple(path + os.sep for path in found)


_LIBRARIES = _library_folders()
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@lru_cache(maxsize=4096)
def is_user_file(filename: str) -> bool:
    """Whether a file belongs to the program itself: no library, not us, not frozen.

    Code given to `python -c` or typed at a prompt counts as the user's.
    """
    if filename.startswith("<"):
        return filename in {"<string>", "<stdin>"} or filename.startswith("<ipython")
    if any(part in filename for part in _PACKAGES):
        return False
    path = _abspath(filename)
    if path.startswith(_OWN):
        return False
    return not path.startswith(_LIBRARIES)


@lru_cache(maxsize=4096)
def is_stdlib_file(filename: str) -> bool:
    """Whether a file belongs to the standard library."""
    if filename.startswith("<frozen"):
        return True
    if any(part in filename for part in _PACKAGES):
        return False
    return _abspath(filename).startswith(_LIBRARIES)


def is_own_file(filename: str) -> bool:
    """Whether a file belongs to this package."""
    return filename.startswith(_OWN)


def line_of(code: CodeType, lasti: int) -> int:
    """Return the line of an instruction; the first line of the code when it has none."""
    if lasti < 0:
        return code.co_firstlineno
    best = code.co_firstlineno
    for start, end, line in code.co_lines():
        if start <= lasti < end:
            return line if line is not None else best
        if line is not None:
            best = line
    return best


def resolve(raw: RawPlace) -> Place:
    """Return file, line and function of a recorded place."""
    code, lasti = raw
    return Place(absolute(code.co_filename), line_of(code, lasti), code.co_qualname)


@lru_cache(maxsize=4096)
def absolute(filename: str) -> str:
    """Return an absolute file name; names such as `<string>` stay as they are."""
    return filename if filename.startswith("<") else _abspath(filename)


def user_places(stack: Iterable[RawPlace]) -> list[Place]:
    """Return the places in the user's code, innermost first."""
    return [resolve(raw) for raw in stack if is_user_file(raw[0].co_filename)]


def first_place(stack: RawStack) -> Place | None:
    """Return the line a reader should open: the innermost one in the user's code.

    Without any user frame it is the innermost one outside the standard library, then
    the innermost one at all.
    """
    for raw in stack:
        if is_user_file(raw[0].co_filename):
            return resolve(raw)
    for raw in stack:
        name = raw[0].co_filename
        if not is_stdlib_file(name) and not is_own_file(name):
            return resolve(raw)
    return resolve(stack[0]) if stack else None


def has_user_frame(stack: RawStack) -> bool:
    """Whether any frame of a stack is the user's."""
    return any(is_user_file(raw[0].co_filename) for raw in stack)


_MOST_RAISING = 100
_IN_STEPS = 4
_loop_codes: list[CodeType | None] = [None, None]
# A callback runs in the first of these, a protocol's method in the second, in a transport.
_LOOP_MODULES = ("asyncio.events", "asyncio.selector_events")
_TRANSPORTS = f"{os.sep}asyncio{os.sep}selector_events.py"
_module_at: Any = getattr(sys, "_getframemodulename", None)  # Python 3.12


def set_loop_codes(*codes: CodeType) -> None:
    """Tell the two functions by which an event loop calls everything that runs in it."""
    _loop_codes[:] = codes


def capture_flat(  # noqa: PLR0911 # in single steps, see below
    frame: FrameType | None,
    depth: int,
    owner: TaskRecord | None = None,
    last: FrameType | None = None,
) -> FlatStack:
    """Return up to `depth` places from `frame` outwards, as a flat stack.

    The stack ends with the own function of the running task `owner`, where that is known, or with
    the frame `last`, and where the event loop calls: what started the loop has no part in it.
    Nothing is resolved, and no frame is kept. Reading leaves out this package (`pairs`).

    A frame costs about 60 ns, and twice that if it is a new one that nobody has looked at; so
    the loop's own frames, which are new in every turn, are not touched when `owner` is given. Most
    stacks end after few frames, and a loop costs half as much again as the same in single steps.
    """
    if frame is None:
        return ()
    try:
        if owner is not None:  # whose function may call itself, so frames count
            task: Any = owner()
            last = task.get_coro().cr_frame
        if last is None or depth < _IN_STEPS:
            return _capture_all(frame, depth, last, [])
        if frame is last:
            return (frame.f_code, frame.f_lasti)
        second: Any = frame.f_back
        if second is last:
            return (frame.f_code, frame.f_lasti, second.f_code, second.f_lasti)
        third = second.f_back
        if third is last:
            return (
                frame.f_code,
                frame.f_lasti,
                second.f_code,
                second.f_lasti,
                third.f_code,
                third.f_lasti,
            )
        fourth = third.f_back
        found: list[Any] = [frame.f_code, frame.f_lasti, second.f_code, second.f_lasti]
        found += (third.f_code, third.f_lasti, fourth.f_code, fourth.f_lasti)
        if fourth is last:
            return tuple(found)
        return _capture_all(fourth.f_back, depth - _IN_STEPS, last, found)
    except AttributeError:  # a task factory may return anything, and a stack may be shorter
        return _capture_all(frame, depth, last, [])


def _capture_all(
    frame: FrameType | None, depth: int, last: FrameType | None, found: list[Any]
) -> FlatStack:
    run, run_once = _loop_codes
    while frame is not None and depth:
        code = frame.f_code
        if code is run or code is run_once:
            break
        found.append(code)
        found.append(frame.f_lasti)
        if frame is last:
            break
        frame = frame.f_back
        depth -= 1
    return tuple(found)


class SharedStacks:
    """Stacks of things that are made in one place one after the other share one: 130 bytes each."""

    __slots__ = ("_called", "_depth", "_last")

    def __init__(self, depth: int) -> None:
        """Keep nothing yet; `depth` is the most frames of a stack."""
        self._depth = depth
        self._last: FlatStack = ()
        self._called: FlatStack = ()  # the last one of those outside of tasks

    def called(self, frame: Any, above: int) -> FlatStack:
        """Return the stack from `frame`, `above` frames outside the caller, where no task runs.

        It ends where the loop or its transport calls. If it is the same as the one before, their
        frames are not touched, which are new in every turn: a web server makes a task in each.
        `above` is 0 if it is not known.
        """
        last = self._called
        size = len(last)
        if size:
            whole = above and _module_at and _module_at(above + 1 + size // 2) in _LOOP_MODULES
            at = 0
            outer = frame
            while outer is not None and last[at + 1] == outer.f_lasti and last[at] is outer.f_code:
                at += 2
                if at == size:
                    if whole or _is_loops(outer.f_back):
                        return last
                    break
                outer = outer.f_back
        stack = capture_flat(frame, self._depth)
        while len(stack) > 2 and stack[-2].co_filename.endswith(_TRANSPORTS):
            stack = stack[:-2]
        if stack == last:
            return last
        self._called = stack
        return stack

    def shared(self, stack: FlatStack) -> FlatStack:
        """Return the stack before if it is the same."""
        last = self._last  # another thread's loop may change it meanwhile
        if stack == last:
            return last
        self._last = stack
        return stack

    def up_to(self, owner: TaskRecord, task: Any, frame: Any) -> FlatStack:
        """Return the stack from `frame` to the function of `task`, which runs and is the owner's.

        To compare it number by number with the last one takes half as long as to make a tuple of
        it first.
        """
        last = self._last
        try:
            root = task.get_coro().cr_frame
            if frame is root:
                if last[1] == frame.f_lasti and last[0] is owner.code and len(last) == 2:
                    return last
            elif last[1] == frame.f_lasti and last[0] is frame.f_code:
                outer = frame.f_back
                if outer is root:
                    if last[3] == root.f_lasti and last[2] is owner.code and len(last) == 4:
                        return last
                elif _is_rest(last, outer, root):
                    return last
        except (AttributeError, IndexError):  # a task factory may return anything
            pass
        return self.shared(capture_flat(frame, self._depth, owner))


def _is_loops(frame: Any) -> bool:
    """Whether a frame is one of those in which the loop calls the program."""
    if frame is None:
        return False
    code = frame.f_code
    return code in _loop_codes or code.co_filename.endswith(_TRANSPORTS)


def _is_rest(stack: FlatStack, frame: Any, root: FrameType) -> bool:
    """Whether a flat stack has all frames from `frame` to `root` behind its first one."""
    at = 2
    while stack[at + 1] == frame.f_lasti and stack[at] is frame.f_code:
        at += 2
        if frame is root:
            return len(stack) == at
        frame = frame.f_back
    return False


def capture(frame: FrameType | None, depth: int) -> RawStack:
    """Return what `capture_flat` does, place by place; for code that is not called often."""
    return pairs(capture_flat(frame, depth))


def traceback_places(error: BaseException) -> RawStack:
    """Return the places of an exception's traceback, innermost first, at most 100 of them."""
    found: list[RawPlace] = []
    step = error.__traceback__
    while step is not None and len(found) < _MOST_RAISING:
        found.append((step.tb_frame.f_code, step.tb_lasti))
        step = step.tb_next
    found.reverse()
    return tuple(found)
