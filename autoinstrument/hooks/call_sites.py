"""Find the functions that may cancel tasks or close generators, to watch their calls.

Modules are read for that: the program's own before a loop starts, libraries a few at each
tick. A PY_START event for all code would find every function, at the price of instrumenting
all code that the program ever runs.
"""

import sys
from collections.abc import Callable, Iterator
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
    WrapperDescriptorType,
)
from typing import Any, Final

from autoinstrument.places import is_own_file, is_user_file

WATCHED: Final = frozenset({"cancel", "aclose", "athrow", "asend", "anext", "__anext__"})
_FIRST: Final = (
    "asyncio.timeouts",
    "asyncio.taskgroups",
    "asyncio.tasks",
    "asyncio.runners",
    "contextlib",
)
# Verified with 3.11 to 3.15: nothing else there cancels tasks or closes what is not its own.
_NEVER_CANCELS: Final = sys.stdlib_module_names - {"asyncio", "contextlib"}
# Most of what modules and classes hold is of these types, and none of them has Python functions.
_WITHOUT_FUNCTIONS: Final = frozenset(
    {
        *(NoneType, bool, int, float, str, bytes, tuple, list, dict, set, frozenset),
        *(ModuleType, BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType),
        *(MethodDescriptorType, WrapperDescriptorType),
    }
)
_METHODS: Final = (MethodType, staticmethod, classmethod)
_A_FEW: Final = 5  # modules read at each tick; a large one has some hundred functions


class CallSites:
    """Reads each module once and hands over the code objects that mention a watched name."""

    def __init__(self, watch: Callable[[CodeType], None]) -> None:
        """Hand code objects to `watch`, each at most once."""
        self._watch = watch
        self._modules: set[str] = set()
        self._codes: set[int] = set()
        self._classes: set[int] = set()
        self._all_read = (0, 0)  # how many modules, and names in __main__, when all were read

    def read_program(self, *_: Any) -> None:
        """Read the program's own modules, and those that cancel most, unless that was done."""
        for name in _FIRST:
            if name not in self._modules and name in sys.modules:
                self._read(name, sys.modules[name])
        for name, module in list(sys.modules.items()):
            if name not in self._modules and (name == "__main__" or _is_users(module)):
                self._read(name, module)

    def read_libraries(self, *_: Any) -> bool:
        """Read a few of the library modules that were imported since the last time.

        Return whether all have been read.
        """
        size = (len(sys.modules), len(vars(sys.modules.get("__main__", sys))))
        if size == self._all_read:  # to go through thousands of names at each tick is dear
            return True
        left = _A_FEW
        for name, module in list(sys.modules.items()):
            if name in self._modules:
                continue
            if name.partition(".")[0] in _NEVER_CANCELS and not _is_users(module):
                self._modules.add(name)
                continue
            self._read(name, module)
            left -= 1
            if not left:
                return False
        self._all_read = size
        return True

    def read_module(self, module: ModuleType) -> None:
        """Read one module now."""
        if module.__name__ not in self._modules:
            self._read(module.__name__, module)

    def read_root(self, code: CodeType, namespace: dict[str, Any] | None) -> None:
        """Read a task's own function, wherever it comes from."""
        self._look(code)
        if namespace is not None and is_user_file(code.co_filename):
            name = str(namespace.get("__name__"))
            if name not in self._modules and sys.modules.get(name) is None:
                self._modules.add(name)
                self._read_names(namespace)

    def _read(self, name: str, module: ModuleType) -> None:
        if name != "__main__":  # an interactive one goes on growing
            self._modules.add(name)
        if not is_own_file(getattr(module, "__file__", None) or "<"):
            self._read_names(getattr(module, "__dict__", {}))

    def _read_names(self, namespace: dict[str, Any]) -> None:
        for value in list(namespace.values()):
            if type(value) in _WITHOUT_FUNCTIONS:
                continue
            if isinstance(value, type):
                if id(value) in self._classes:  # another module has imported it
                    continue
                self._classes.add(id(value))
                for member in list(vars(value).values()):
                    self._read_value(member)
            else:
                self._read_value(value)

    def _read_value(self, value: Any) -> None:
        kind = type(value)
        if kind is FunctionType and value.__closure__ is None:
            self._look(value.__code__)
        elif kind not in _WITHOUT_FUNCTIONS:
            for function in _functions(value):
                self._look(function.__code__)

    def _look(self, code: CodeType) -> None:
        if id(code) in self._codes:
            return
        self._codes.add(id(code))
        if not WATCHED.isdisjoint(code.co_names):
            self._watch(code)
        for const in code.co_consts:
            if isinstance(const, CodeType):
                self._look(const)


def _is_users(module: ModuleType) -> bool:
    """Whether a module is the program's own, which may be named like one of the library."""
    return is_user_file(getattr(module, "__file__", None) or "<")


def _functions(value: Any) -> Iterator[FunctionType]:
    """Yield the Python functions behind a value: plain, bound, decorated, or in a closure."""
    pending = [value]
    for _ in range(20):
        if not pending:
            return
        found = pending.pop()
        if isinstance(found, _METHODS):
            pending.append(found.__func__)
        elif isinstance(found, property):
            pending.extend(part for part in (found.fget, found.fset) if part is not None)
        elif isinstance(found, FunctionType):
            yield found
            for cell in found.__closure__ or ():
                try:
                    held = cell.cell_contents
                except ValueError:  # not filled yet
                    continue
                if isinstance(held, FunctionType):
                    pending.append(held)
