"""What leaves the process while it runs: finished work, handed to the exporters.

The exporters, and with them OpenTelemetry, are made in the agent's own thread when there is
something to export (docs/architecture.md).
"""

import os
from collections.abc import Callable
from typing import Any, Final

from autoinstrument.config.schema import Settings
from autoinstrument.world import World

_DEADLINE_S: Final = 2.0  # an exit never waits longer for a backend


class Outlet:
    """Collects what ended and drains it into the exporters once a second."""

    def __init__(
        self,
        names: tuple[str, ...],
        settings: Settings,
        world: World,
        say: Callable[[str], None],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        """Collect from now on for the exporters of these names."""
        from autoinstrument.export.batch import ExportSettings
        from autoinstrument.export.collect import Collector
        from autoinstrument.export.propagation import program_span_context

        self._settings = ExportSettings(
            exporters=names,
            file=settings.export_file,
            span_budget=settings.span_budget,
            long_open_s=settings.long_open_s,
        )
        self._say = say
        self._failed = failed
        self._made: list[Any] | None = None
        self._on = True
        self._collector = Collector(world)
        world.tasks.program_span = program_span_context

    @classmethod
    def for_settings(
        cls,
        settings: Settings,
        world: World,
        say: Callable[[str], None],
        failed: Callable[[str, BaseException], None],
    ) -> "Outlet | None":
        """Return an outlet, or None where nothing is to be exported."""
        names = exporter_names(settings.exporter)
        return cls(names, settings, world, say, failed) if names else None

    def _exporters(self) -> list[Any]:
        if self._made is None:
            from autoinstrument.export.exporters import make_exporters

            self._made = list(make_exporters(self._settings, os.environ, self._say))
        return self._made

    def drain(self) -> None:
        """Export what ended; called in the agent's thread once a second."""
        if not self._on:
            return
        try:
            batch = self._collector.batch()
            for exporter in self._exporters():
                exporter.drain(batch)
        except Exception as exc:
            self._on = False
            self._failed("export", exc)

    def finish(self) -> list[str]:
        """Export the rest at exit, on the calling thread; return what was lost, in words."""
        if not self._on:
            return []
        self._on = False
        batch, unfinished = self._collector.batch(), self._collector.unfinished()
        notes = []
        for exporter in self._exporters():
            exporter.finish(batch, unfinished, _DEADLINE_S)
            counts = exporter.statistics()
            lost = {
                name: count
                for name, count in counts.items()
                if count and ("drop" in name or "fail" in name)
            }
            if lost:
                told = ", ".join(f"{count} {name}" for name, count in lost.items())
                notes.append(f"not exported by {exporter.name}: {told}")
        return notes


def exporter_names(text: str) -> tuple[str, ...]:
    """Return the exporters asked for; `auto` is OTLP when an endpoint is configured."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    endpoint = any(
        name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") and value
        for name, value in os.environ.items()
    )
    if "auto" in names:
        names = [name for name in names if name != "auto"] + (["otlp"] if endpoint else [])
    return tuple(name for name in dict.fromkeys(names) if name != "none")
