"""Put hooks in place, take them out again, and know the state of each.

The only user of wrapt: attributes of library classes that cannot be woven (compiled code) are set
and reset through it. It is imported when there is one, since that takes as long as a quarter of
asyncio; when a library is imported is told by the hook that waits for asyncio as well.
"""

import sys
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from autoinstrument._boot import import_hook
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.weaving import Edit, WeaveError, weave
from autoinstrument.hooks.woven_cache import WovenCache

_MISSING: Any = object()


class HookState:
    """What became of one patch: `woven`, `set`, `observed` or `off`, and why."""

    __slots__ = ("detail", "name", "state", "target")

    def __init__(self, name: str, target: str, state: str, detail: str) -> None:
        """Keep what `asyncscope doctor` shows."""
        self.name = name
        self.target = target
        self.state = state
        self.detail = detail


class Patches:
    """All patches of one agent, in the order in which they were made."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Start without patches; `say` puts one line on stderr."""
        self.states: list[HookState] = []
        self._undo: list[Callable[[], None]] = []
        self._say = say
        self.closed = False
        self.woven = WovenCache()
        self._waiting: dict[str, Callable[[ModuleType], None]] = {}

    def weave(self, name: str, holder: Any, attribute: str, port: object, *edits: Edit) -> bool:
        """Weave edits into `holder.attribute`; an unknown shape leaves it alone and says so."""
        target = f"{getattr(holder, '__name__', holder)}.{attribute}"
        function = _function(holder, attribute)
        if function is None:
            self._note(name, target, "off", "not a Python function")
            return False
        try:
            original = weave(function, port, edits, self.woven)
        except WeaveError as exc:
            self._note(name, target, "off", str(exc))
            return False
        except (SyntaxError, ValueError, TypeError) as exc:
            self._note(name, target, "off", f"{type(exc).__name__}: {exc}")
            return False
        woven = function.__code__
        self._undo.append(lambda: _restore(function, woven, original))
        if isinstance(port, Port):
            self._undo.append(port.close)
        self._note(name, target, "woven", "")
        return True

    def set(self, name: str, holder: Any, attribute: str, replacement: Any) -> None:
        """Set an attribute of a class or module until `undo`."""
        before = vars(holder).get(attribute, _MISSING)
        apply = setattr if isinstance(holder, ModuleType) else _wrapt().apply_patch
        apply(holder, attribute, replacement)

        def undo() -> None:
            if vars(holder).get(attribute) is not replacement:
                return  # somebody patched on top of us; ours goes inert
            if before is _MISSING:
                delattr(holder, attribute)
            else:
                apply(holder, attribute, before)

        self._undo.append(undo)
        self._note(name, f"{getattr(holder, '__name__', holder)}.{attribute}", "set", "")

    def observed(self, name: str, target: str, undo: Callable[[], None], detail: str = "") -> None:
        """Note a patch that its hook made itself, with the way to undo it."""
        self._undo.append(undo)
        self._note(name, target, "observed", detail)

    def off(self, name: str, target: str, detail: str) -> None:
        """Note that a hook could not be put in place."""
        self._note(name, target, "off", detail)

    def when_imported(self, module: str, install: Callable[[ModuleType], None]) -> None:
        """Install hooks when a library is imported, now or later; never fail its import."""

        def imported(loaded: ModuleType) -> None:
            if self.closed or self._waiting.pop(module, None) is None:
                return
            try:
                install(loaded)
            except Exception as exc:
                self.off(module, module, f"{type(exc).__name__}: {exc}")

        self._waiting[module] = imported
        if not _is_half_imported(module):
            import_hook.when_imported(module, imported)

    def catch_up(self) -> None:
        """Install what no import hook has announced; called when a loop starts.

        A library may import asyncio half-way through its own import, and another import hook
        (pytest's, which rewrites assertions) may stand in front of ours.
        """
        for module, imported in list(self._waiting.items()):
            loaded = sys.modules.get(module)
            if loaded is not None and not _is_half_imported(module):
                imported(loaded)
            elif loaded is None:
                import_hook.come_first()

    def _note(self, name: str, target: str, state: str, detail: str) -> None:
        self.states.append(HookState(name, target, state, detail))
        if state == "off":
            self._say(f"{target} not verified ({detail}); {name} is off (hook-unverified)")

    def undo(self) -> None:
        """Restore everything that is still ours, last patch first."""
        self.closed = True
        while self._undo:
            self._undo.pop()()
        self.states.clear()


def _wrapt() -> ModuleType:
    import wrapt

    return wrapt


def _is_half_imported(module: str) -> bool:
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _function(holder: Any, attribute: str) -> FunctionType | None:
    """Return the Python function behind an attribute, also under other tools' wrappers."""
    found = vars(holder).get(attribute)
    for _ in range(10):
        if isinstance(found, FunctionType) and not hasattr(found, "__wrapped__"):
            return found
        found = getattr(found, "__wrapped__", None) or getattr(found, "__func__", None)
    return None


def _restore(function: FunctionType, woven: CodeType, original: CodeType) -> None:
    if function.__code__ is woven:
        function.__code__ = original
