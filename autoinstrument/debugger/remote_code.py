"""The text of our modules as expressions that a debuggee without asyncscope can evaluate."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_OWN_IMPORT: Final = "from autoinstrument.debugger."


@cache
def _source() -> str:
    """Return the text of both modules, without the import of one by the other."""
    folder = Path(__file__).parent
    texts = [
        (folder / name).read_text(encoding="utf-8") for name in ("pydevd_fixes.py", "snapshot.py")
    ]
    lines = "\n".join(texts).splitlines()
    kept = [line for line in lines if not line.startswith((_OWN_IMPORT, "from __future__ import"))]
    return "\n".join(["from __future__ import annotations", *kept])


def call_in_debuggee(function: str) -> str:
    """Return an expression that calls a function of those modules and leaves nothing behind."""
    return (
        f"(lambda ns: (exec(compile({_source()!r}, '<asyncscope>', 'exec'), ns),"
        f" ns[{function!r}]())[1])({{'__name__': '_asyncscope_in_debuggee'}})"
    )
