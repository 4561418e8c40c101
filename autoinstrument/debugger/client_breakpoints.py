"""The part of a debug client that sets breakpoints, and sets them again after a reconnect."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import model
from .breakpoints import check_breakpoint, full_path
from .client_connection import ClientConnection, ClientOptions
from .errors import BreakpointRefused
from .model import Breakpoint, BreakpointSpec, ExceptionFilters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .dap import JsonObject

_BREAK_MODES: Final = {
    "raised": "always",
    "uncaught": "unhandled",
    "userUnhandled": "userUnhandled",
}


@dataclass(slots=True)
class _Wanted:
    """What the debuggee was asked for; sent again with every connection."""

    lines: dict[str, list[BreakpointSpec]] = field(default_factory=dict)
    functions: list[tuple[str, str | None]] = field(default_factory=list)
    exceptions: ExceptionFilters = field(default_factory=ExceptionFilters)


class BreakpointClient(ClientConnection):
    """Line, function and exception breakpoints."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 5678, options: ClientOptions | None = None
    ) -> None:
        """Start without any."""
        super().__init__(host, port, options)
        self._wanted = _Wanted()

    # -- breakpoints ---------------------------------------------------------------------------

    async def set_breakpoints(
        self, path: str | Path, breakpoints: Iterable[BreakpointSpec | int]
    ) -> list[Breakpoint]:
        """Replace all line breakpoints of a file, and return them as the debugger has them.

        Numbers are lines. Hit counts of that file start again.

        Raises:
            BreakpointRefused: a breakpoint that could never hit; nothing was changed.
        """
        full = full_path(path)
        specs = [_spec(entry) for entry in breakpoints]
        checked = [check_breakpoint(full, spec) for spec in specs]
        self._wanted.lines[full] = checked
        answer = await self._send_lines(full)
        if not checked:
            del self._wanted.lines[full]
        return answer

    async def add_breakpoint(self, path: str | Path, spec: BreakpointSpec | int) -> Breakpoint:
        """Add one line breakpoint; one that is on that line already is replaced."""
        full = full_path(path)
        checked = check_breakpoint(full, _spec(spec))
        others = [s for s in self._wanted.lines.get(full, ()) if s.line != checked.line]
        return (await self.set_breakpoints(full, [*others, checked]))[-1]

    async def remove_breakpoint(self, path: str | Path, line: int) -> bool:
        """Remove the breakpoint of a line; say whether there was one."""
        full = full_path(path)
        before = self._wanted.lines.get(full, [])
        after = [spec for spec in before if spec.line != line]
        if len(after) == len(before):
            return False
        await self.set_breakpoints(full, after)
        return True

    def line_breakpoints(self) -> dict[str, list[BreakpointSpec]]:
        """Return the line breakpoints that are set, by file."""
        return {path: list(specs) for path, specs in self._wanted.lines.items()}

    async def clear_breakpoints(self) -> None:
        """Remove all line, function and exception breakpoints."""
        for path in list(self._wanted.lines):
            await self.set_breakpoints(path, [])
        if self._wanted.functions:
            await self.set_function_breakpoints([])
        await self.set_exception_breakpoints()

    async def set_function_breakpoints(
        self, names: Sequence[str | tuple[str, str | None]]
    ) -> list[Breakpoint]:
        """Replace all function breakpoints: plain function names, or (name, condition)."""
        wanted = [(entry, None) if isinstance(entry, str) else entry for entry in names]
        for name, _ in wanted:
            if not name.isidentifier():
                raise BreakpointRefused(f"function breakpoints take plain names, not {name!r}")
        self._wanted.functions = wanted
        return await self._send_functions()

    async def set_exception_breakpoints(self, *filters: str, types: Sequence[str] = ()) -> None:
        """Stop at exceptions: any of `raised`, `uncaught`, `userUnhandled`; none switches off.

        `types` limits it to exception types, by name (`KeyError`) or path (`httpx.ReadTimeout`).
        """
        for name in filters:
            if name not in _BREAK_MODES:
                known = ", ".join(_BREAK_MODES)
                raise BreakpointRefused(f"exception filter must be one of {known}, not {name!r}")
        self._wanted.exceptions = ExceptionFilters(filters, tuple(types))
        await self._send_exceptions()

    async def _configure(self) -> None:
        for path in self._wanted.lines:
            await self._send_lines(path)
        await self._send_exceptions()
        if self._wanted.functions:
            await self._send_functions()

    async def _send_lines(self, path: str) -> list[Breakpoint]:
        specs = self._wanted.lines[path]
        body = await self._ask(
            "setBreakpoints",
            {
                "source": {"path": path, "name": Path(path).name},
                "breakpoints": [spec.to_dap() for spec in specs],
            },
        )
        raw = model.objects(body, "breakpoints")
        return [
            model.read_breakpoint(entry, path, spec.line)
            for entry, spec in zip(raw, specs, strict=False)
        ]

    async def _send_functions(self) -> list[Breakpoint]:
        wanted = self._wanted.functions
        entries = [
            {"name": name} | ({"condition": condition} if condition else {})
            for name, condition in wanted
        ]
        body = await self._ask("setFunctionBreakpoints", {"breakpoints": entries})
        return [model.read_breakpoint(raw, "", 0) for raw in model.objects(body, "breakpoints")]

    async def _send_exceptions(self) -> None:
        wanted = self._wanted.exceptions
        arguments: JsonObject = {"filters": list(wanted.filters)}
        if wanted.types:
            path = [{"names": ["Python Exceptions"]}, {"names": list(wanted.types)}]
            arguments["exceptionOptions"] = [
                {"path": path, "breakMode": _BREAK_MODES[name]} for name in wanted.filters
            ]
        await self._ask("setExceptionBreakpoints", arguments)


def _spec(entry: BreakpointSpec | int) -> BreakpointSpec:
    return BreakpointSpec(entry) if isinstance(entry, int) else entry
