"""Call somebody right after a module was imported, with nothing but `sys`.

wrapt's post-import hooks would do the same, but wrapt imports asyncio, which must not be imported
before the program does so, and importing wrapt takes as long as importing a quarter of asyncio.

Theory of operation. `Finder` stands first in `sys.meta_path`. For a module that is waited for it
lets the other finders do their work and puts `Loader` around the loader they found. `Loader`
takes itself out of the module before the module's code runs, so that the code and everybody
after it see what they would have seen without us.
"""

import sys

from autoinstrument._boot.say import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["come_first", "forget", "when_imported"]

_waiting: "dict[str, list[Callable[[ModuleType], object]]]" = {}


def when_imported(name: str, callback: "Callable[[ModuleType], object]") -> None:
    """Call `callback(module)` once, when the module `name` has been imported completely.

    At once if it is there already. Waiting twice with the same callback counts once. An
    exception of the callback becomes one line on stderr; the import succeeds.
    """
    if name in sys.modules:
        __import__(name)  # waits if another thread is in the middle of importing it
        _call(callback, sys.modules[name])
        return
    callbacks = _waiting.setdefault(name, [])
    if callback not in callbacks:
        callbacks.append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def come_first() -> None:
    """Stand first in `sys.meta_path` again; another import hook may hide imports from those behind.

    All finders behind are asked for the module itself, so nobody is left out.
    """
    if _finder in sys.meta_path and sys.meta_path[0] is not _finder:
        # In one step: a thread that goes through the list sees an entry twice, but misses none.
        sys.meta_path[:] = [_finder, *(other for other in sys.meta_path if other is not _finder)]


def forget() -> None:
    """Take the finder out of `sys.meta_path` and drop the callbacks that were not called."""
    _waiting.clear()
    if _finder in sys.meta_path:
        # A new list: a thread that goes through the old one must not skip an entry.
        sys.meta_path = [finder for finder in sys.meta_path if finder is not _finder]


def _imported(name: str, module: "ModuleType") -> None:
    for callback in _waiting.pop(name, ()):
        _call(callback, sys.modules.get(name, module))


def _call(callback: "Callable[[ModuleType], object]", module: "ModuleType") -> None:
    try:
        callback(module)
    except Exception as exc:  # the program's own import must succeed
        name = f"{type(exc).__name__}: {exc}"
        say(f"could not start after the import of {module.__name__} ({name})")


class Loader:
    """Stand in for the loader of one module until the module's code runs."""

    def __init__(self, loader: object) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code through its own loader, then tell those who wait."""
        loader = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = loader  # type: ignore[assignment]  # whatever was found
        module.__loader__ = loader  # type: ignore[assignment]  # whatever was found
        loader.exec_module(module)  # type: ignore[attr-defined]  # checked by find_spec
        _imported(module.__name__, module)


class Finder:
    """Find the modules that are waited for through the other finders of `sys.meta_path`."""

    def __init__(self) -> None:
        self._looking: set[str] = set()  # another such finder may ask everybody, and so us

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the spec that the others give, its loader wrapped, or `None` for other modules."""
        if name not in _waiting or name in self._looking:
            return None
        self._looking.add(name)
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            self._looking.discard(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = Loader(spec.loader)  # type: ignore[assignment]  # acts as one
        return spec

    def _found_by_others(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


_finder = Finder()
