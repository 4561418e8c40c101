"""What leaves the process while it runs: finished work, handed to the exporters.

The exporters, and with them OpenTelemetry, are made in the agent's own thread when there is
something to export (docs/architecture.md). Where a task's span stands is known earlier: the
program's own spans and child processes hang below it.
"""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from autoinstrument.clocks import computed_ns
from autoinstrument.config.load import exporter_names
from autoinstrument.config.schema import Settings
from autoinstrument.native import allocate_lock
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

if TYPE_CHECKING:
    from autoinstrument.export.batch import Batch

_DEADLINE_S: Final = 1.6  # with encoding before and the interpreter after it, an exit takes 2 s

_OTHER_DRAIN_S: Final = 0.3

_LOADING_S: Final = 10.0  # the SDK loads in 0.1 s; a busy machine may take seconds

SpanContext = tuple[int, int, int]


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
        from autoinstrument.export.nesting import Nesting
        from autoinstrument.export.pulse import Pulse
        from autoinstrument.export.trace_settings import make_traces, needs_sdk

        self._settings = ExportSettings(
            exporters=names,
            file=settings.file,
            span_budget=settings.span_budget,
            long_open_s=settings.long_open_s,
            memory_mb=settings.memory_mb,
        )
        self._needs_sdk = needs_sdk(self._settings, os.environ)
        if self._needs_sdk:
            # It cannot be loaded any more once the interpreter ends, when the exporters of a short
            # program are made, and the SDK needs it.
            import_module("concurrent.futures.thread")
        self._say = say
        self._failed = failed
        self._world = world
        self._made: list[Any] | None = None
        self._making = allocate_lock()
        self._draining = allocate_lock()
        self._on = True
        self._forking = False
        self._forked_in: SpanContext | None = None
        self._collector = Collector(world)
        self.pulse = Pulse(computed_ns)
        self._traces = make_traces(self._settings, os.environ, say)
        # A file or a console holds our spans alone: the program's would hang below nothing.
        inside = settings.nest_spans and bool({"otlp", "provider"} & set(names))
        self._nesting = Nesting(self._traces, inside=inside)
        self.meanwhile: Callable[[], None] = _nothing
        """Called in the middle of a drain, every few milliseconds."""
        self.come_before_providers: Callable[[], None] = _nothing
        self._providers: tuple[Any, ...] = (None, None, None)
        for moment in ("loop_stopped", "loop_closing"):
            world.moments.on(moment, self._look_for_providers)

    @classmethod
    def for_settings(
        cls,
        settings: Settings,
        world: World,
        say: Callable[[str], None],
        failed: Callable[[str, BaseException], None],
    ) -> "Outlet | None":
        """Return an outlet, or None where nothing is to be exported."""
        names = exporter_names(settings.exporter, os.environ)
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return None
        return cls(names, settings, world, say, failed) if names else None

    def _exporters(self) -> list[Any]:
        if not self._making.acquire(timeout=_LOADING_S):
            raise TimeoutError("the exporters took too long to load")
        try:
            if self._made is None:
                from autoinstrument.export.exporters import make_exporters

                self._made = list(
                    make_exporters(self._settings, os.environ, self._say, self._traces)
                )
            for exporter in self._made:
                exporter.load()
            return self._made
        finally:
            self._making.release()

    def drain(self) -> None:
        """Export what ended; called in the agent's thread once a second."""
        if not self._on or self._forking or not self._draining.acquire(timeout=0):
            return
        from autoinstrument.export.slices import giving_way

        try:
            exporters = self._exporters()
            if self._fork_began():
                return  # or a thread that sends would be started in the middle of the fork
            with giving_way(self.meanwhile):
                batch = self._batch()
                for exporter in exporters:
                    exporter.drain(batch)
        except Exception as exc:
            if self._made is None and _no_more_executors():
                return  # the program ends while the SDK is loaded; `finish` can do without
            self._on = False
            self._failed("export", exc)
        finally:
            self._draining.release()

    def _fork_began(self) -> bool:
        return self._forking

    def _batch(self) -> "Batch":
        batch = self._collector.batch()
        batch.delays_ns, batch.utilization = self.pulse.take(self._world.loops.running())
        return batch

    def finish(self) -> list[str]:
        """Export the rest at exit, on the calling thread; return what was lost, in words."""
        if not self._on:
            return []
        self._on = False
        self._draining.acquire(timeout=_OTHER_DRAIN_S)  # one that runs has the agent's thread still
        self._collector.settle()
        batch, unfinished = self._batch(), self._collector.unfinished()
        if self._made is None and batch.is_empty() and unfinished.is_empty():
            return []  # nothing ever ran
        notes = []
        with self._sdk_without_detectors():
            for exporter in self._exporters():
                exporter.finish(batch, unfinished, _DEADLINE_S)
                notes += _losses(exporter)
        if self._collector.dropped:
            notes.append(
                f"not exported: {self._collector.dropped} records of work that ended faster than "
                "it was taken (ASYNCSCOPE_MEMORY_MB)"
            )
        return notes

    def _sdk_without_detectors(self) -> AbstractContextManager[None]:
        if not self._needs_sdk:
            return nullcontext()
        from autoinstrument.export.late import without_detectors

        return without_detectors()

    def tracing_imported(self, module: ModuleType) -> None:
        """The program has imported OpenTelemetry: from now on, look for its spans."""
        from autoinstrument.export.nesting import Unknown
        from autoinstrument.export.propagation import context_variable

        tasks = self._world.tasks
        tasks.program_context = context_variable() or Unknown()
        tasks.program_span = self._nesting

    def _look_for_providers(self, _: object) -> None:
        """Ask for our turn at exit anew when the program has set a provider since.

        The SDK's providers shut themselves down at exit, the latest first; what comes after that
        is lost, with a warning of theirs.
        """
        from autoinstrument.export.propagation import program_providers

        providers = program_providers()
        if providers != self._providers:
            self._providers = providers
            self.come_before_providers()

    # -- other processes ---------------------------------------------------------------------

    def span_context(self) -> SpanContext | None:
        """Return the span that runs in this thread, for a child process that is started now."""
        from autoinstrument.export.propagation import program_span_context

        record = self._world.tasks.current()
        if record is None:
            return program_span_context()
        placement = self._traces.place(record, self._ancestors(record))
        placement.trace.important = True  # what the child sends hangs below it
        program = program_span_context()
        if program is not None:
            return program
        return placement.trace.trace_id, placement.span_id, int(placement.trace.sampled)

    def _ancestors(self, record: TaskRecord) -> dict[int, TaskRecord]:
        live = list(self._world.tasks.live.values())
        return {task.serial: task for task in live} if record.creator else {}

    def child_environment(self, environ: Any) -> Any:
        """Return the environment for a Python child that is started now with `environ`."""
        from autoinstrument.export.propagation import child_environment

        context = self.span_context() if self._on else None
        return environ if context is None else child_environment(environ, context)

    def configure_child(self, process: Any) -> None:
        """Tell a process of `multiprocessing`, before it starts, below which span it hangs."""
        from autoinstrument.export.propagation import configure_child

        configure_child(process, self.span_context() if self._on else None)

    def before_fork(self) -> None:
        """End the threads of the exporters and note the span in which the fork happens.

        Waits for a drain and while exporters are loaded: a child forked in the middle of an
        import, by a thread that it does not have, would wait for ever if it imported the same
        module.
        """
        if not self._on:
            return
        self._forking = True
        for lock in (self._making, self._draining):
            if lock.acquire(timeout=_LOADING_S):
                lock.release()
        try:
            self._forked_in = self.span_context()
            for exporter in self._made or ():
                exporter.before_fork()
        except Exception as exc:
            self._on = False
            self._failed("export", exc)

    def after_fork_in_parent(self) -> None:
        """Go on with the next drain."""
        self._forking = False

    def after_fork_in_child(self) -> None:
        """Begin anew below the span of the fork; the next drain makes exporters of its own."""
        from autoinstrument.export.propagation import RemoteParent

        self._forking = False
        self._made = None
        self._making = allocate_lock()
        self._draining = allocate_lock()
        self._collector.after_fork()
        self._traces.after_fork(RemoteParent(os.environ, self._forked_in))


def _nothing() -> None:
    """Stand in until the agent tells how to come first."""


def _losses(exporter: Any) -> list[str]:
    lost = {
        name: count
        for name, count in exporter.statistics().items()
        if count and ("drop" in name or "fail" in name)
    }
    told = ", ".join(f"{count} {name}" for name, count in lost.items())
    return [f"not exported by {exporter.name}: {told}"] if lost else []


def _no_more_executors() -> bool:
    """Whether the main thread has ended, so that loading the SDK fails: it uses an executor."""
    return bool(getattr(sys.modules.get("concurrent.futures.thread"), "_shutdown", False))
