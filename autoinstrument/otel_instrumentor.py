"""The entry point that `opentelemetry-instrument` finds: no other step is needed.

Imported only by OpenTelemetry's own start-up, so its package is there.
"""

import os
from collections.abc import Collection
from importlib import import_module
from typing import Any

# Not among our dependencies, and untyped in some versions.
_Base: Any = import_module("opentelemetry.instrumentation.instrumentor").BaseInstrumentor


class AsyncscopeInstrumentor(_Base):  # type: ignore[misc]  # see above
    """Switches asyncscope on; `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=asyncscope` leaves it off.

    Spans go to the program's own tracer provider, which `opentelemetry-instrument` sets up,
    unless `ASYNCSCOPE_EXPORTER` says otherwise. `ASYNCSCOPE_ENABLE=0` leaves asyncscope off.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing beyond the interpreter is needed."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        if os.environ.get("ASYNCSCOPE_ENABLE", "1").strip().lower() in {"0", "false", "no", "off"}:
            return
        os.environ.setdefault("ASYNCSCOPE_EXPORTER", "provider")
        from autoinstrument.agent import install  # not when it is switched off

        install()

    def _uninstrument(self, **kwargs: Any) -> None:
        from autoinstrument.agent import uninstall  # not when it is switched off

        uninstall()
