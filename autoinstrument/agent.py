"""The one place where the parts meet: settings, trackers, hooks, detectors and sinks."""

import atexit
import os
import sys
import time
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from autoinstrument import env, reporting  # now: at the end a program may have replaced `os`
from autoinstrument._boot import first_process
from autoinstrument._boot.say import put
from autoinstrument.config.load import exporter_names, load
from autoinstrument.config.schema import Settings
from autoinstrument.config_file import file_section
from autoinstrument.findings import (
    KINDS,
    Finding,
    FindingStore,
    read_baseline,
    select,
    unknown_kinds,
)
from autoinstrument.on_demand import Presence
from autoinstrument.places import is_user_file

if TYPE_CHECKING:
    from autoinstrument.outlet import Outlet

_current: list["Agent"] = []
_FORK_S = 5.0  # a fork waits so long at most for a drain that runs, which takes milliseconds
_getpid, _time = os.getpid, time.time  # bound before a program replaces them


def say(line: str) -> None:
    """Put one line on stderr; a closed stderr is no reason to fail."""
    if _current and _current[0].settings.quiet:
        return
    put(f"asyncscope: {line}\n")


class Agent:
    """Watches one process from `install()` on."""

    def __init__(self, settings: Settings, problems: list[str]) -> None:
        """Make trackers and attach detectors; nothing is patched yet."""
        from autoinstrument.detectors import attach_all
        from autoinstrument.hooks.patching import Patches
        from autoinstrument.trackers.moments import Moments
        from autoinstrument.trackers.running import known
        from autoinstrument.watch import Watch
        from autoinstrument.world import World

        self.settings = settings
        self.started = _time()
        self.pid = self._first_pid = _getpid()
        self._problems = problems
        self._known_loop = known
        self._folder = os.getcwd() if os.path.isdir(".") else "/"  # the program may change it
        kinds, problem = select(settings.detect)
        baseline: frozenset[str] = frozenset()
        trouble = ""
        if settings.baseline:
            baseline, trouble = read_baseline(settings.baseline)
        wrong = self._wrong_kinds()
        self._problems += [line for line in (problem, trouble, *wrong) if line]
        self.moments = Moments(say)
        self.findings = FindingStore(kinds, baseline)
        self.world = World(settings, self.moments, self.findings)
        attach_all(self.world, kinds)
        self.patches = Patches(say)
        self.watch = Watch(self.world, self.moments.failed)
        if settings.break_on:
            self._stop_at_findings()
        self._print_when_it_hangs()
        self.moments.on("tick", self._keep_woven)
        self._presence = Presence(say, lambda: not self.world.looks.calm)
        self.moments.on("tick", self._presence.tick)
        self._asyncio = sys.modules.get("asyncio")
        self._finished = False
        self._debug_asked = False
        self.outlet: Outlet | None = None
        self._recorder: Any = None

    def _print_when_it_hangs(self) -> None:
        """Print all waiting tasks on a signal, or when none moves, where that is asked for."""
        if self.settings.dump_signal:
            from autoinstrument.stall import print_on_signal

            ask = self.watch.ask
            problem = print_on_signal(self.world, self.settings.dump_signal, say, ask)
            self._problems += [problem] if problem else []
        if self.settings.stall_s:
            from autoinstrument.stall import StallWatch

            self.moments.on("tick", StallWatch(self.world, say).tick)

    def _wrong_kinds(self) -> list[str]:
        """Return a line for each setting that names kinds which do not exist."""
        named = {
            "ASYNCSCOPE_FAIL_ON": self.settings.fail_on,
            "ASYNCSCOPE_BREAK_ON": self.settings.break_on,
        }
        lines = []
        for variable, text in named.items():
            names = [name.strip() for name in text.split(",")]
            wrong = [name for name in names if name and name != "any" and name not in KINDS]
            lines.append(unknown_kinds(variable, wrong))
        return lines

    def install(self) -> None:
        """Put all hooks in place."""
        from autoinstrument.hooks import (
            asyncio_cancel,
            asyncio_combinators,
            asyncio_generators,
            asyncio_handles,
            asyncio_locks,
            asyncio_loops,
            asyncio_scopes,
            asyncio_tasks,
            asyncio_threads,
            contexts,
            task_ends,
        )

        world, patches, failed = self.world, self.patches, self.moments.failed
        asyncio_tasks.install(patches, world.tasks, failed)
        task_ends.install(patches, world.tasks, self.moments, failed)
        threads = asyncio_threads.install(patches, world.hops, world.tasks, failed)
        asyncio_scopes.install(patches, world.scopes, world.tasks, self.moments, failed)
        asyncio_locks.install(patches, world.resources, world.tasks, self.moments, failed)
        generators = asyncio_generators.install(patches, world.generators, world.tasks, failed)
        loops = asyncio_loops.install(patches, world.loops, self.moments, failed)
        shields = asyncio_combinators.install(patches, world.tasks, self.moments, failed)
        world.inner_of_shield = shields.inner
        told = (
            contexts.install(patches, (world.generators, world.tasks), self.moments, failed)
            | generators.told
        )
        trackers = (world.tasks, world.scopes, world.generators)
        asyncio_cancel.install(patches, trackers, self.moments, failed, told)
        asyncio_handles.install(patches, world.tasks, self.moments, failed)
        if env.WAIT_FOR_MAKES_A_TASK:
            from autoinstrument.hooks import asyncio_wait_for

            asyncio_wait_for.install(patches, world.tasks, self.moments, failed)
        world.loops.first_run = self._loop_runs
        if exporter_names(self.settings.exporter, os.environ):
            from autoinstrument.outlet import Outlet

            self.outlet = Outlet.for_settings(self.settings, world, say, failed)
        if self.outlet is not None:
            from autoinstrument.hooks import child_processes

            self.watch.drains["export"] = self.outlet.drain
            self.watch.blocks.looked = self.outlet.pulse.look
            self.outlet.come_before_providers = self._finish_first
            self.outlet.meanwhile = self.watch.look_meanwhile
            patches.when_imported("opentelemetry.trace", self.outlet.tracing_imported)
            child_processes.install(
                patches, self.outlet.child_environment, self.outlet.configure_child, failed
            )
        if self.settings.record:
            self.watch.drains["recording"] = self._record
        self._install_late((generators, loops), threads)
        if self.settings.debugpy and os.environ.get("ASYNCSCOPE_DEBUGPY_WAIT", "") not in {"", "0"}:
            self._open_debug_port(at_loop=False)
        for problem in self._problems:
            say(problem)
        self._problems.clear()

    def _stop_at_findings(self) -> None:
        """Let an attached debugger stop in the program's frame where a finding is made."""
        from autoinstrument.debugger.break_on import BreakOn

        try:
            path = os.environ.get("ASYNCSCOPE_CONFIG", "").strip()
            rule = BreakOn.from_text(self.settings.break_on, path)
        except Exception as exc:
            self._problems.append(f"ASYNCSCOPE_BREAK_ON is ignored: {exc}")
            return

        def stop(finding: Finding) -> None:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and not is_user_file(frame.f_code.co_filename):
                frame = frame.f_back
            rule.found(finding.kind, frame)

        self.findings.added.append(stop)

    def _loop_runs(self) -> None:
        self.patches.catch_up()
        self.watch.start()
        if self.settings.debugpy and not self._debug_asked:
            self._open_debug_port(at_loop=True)

    def _open_debug_port(self, *, at_loop: bool) -> None:
        """Open the port of ASYNCSCOPE_DEBUGPY; a failure is a line, never an error."""
        from autoinstrument.debugger.startup import start_from_environment

        self._debug_asked = True
        try:
            address = self.settings.debugpy
            forked = self._first_pid != self.pid
            start_from_environment(os.environ, say, at_loop=at_loop, address=address, forked=forked)
        except Exception as exc:
            self.moments.failed("debug port", exc)

    def _install_late(self, ports: Any, threads: Any) -> None:
        """Hook libraries when the program imports them; few programs import them all."""
        from autoinstrument.hooks import sdk_sessions

        world, patches, failed = self.world, self.patches, self.moments.failed

        def anyio_backend(module: ModuleType) -> None:
            from autoinstrument.hooks import (
                anyio_limiters,
                anyio_locks,
                anyio_scopes,
                asyncio_threads,
            )

            trackers = (world.scopes, world.tasks)
            anyio_scopes.install(patches, module, trackers, self.moments, failed)
            anyio_locks.install(patches, module, world.resources, world.tasks, failed)
            anyio_limiters.install(patches, module, world.resources, failed)
            asyncio_threads.install_anyio(patches, module, threads)
            self.moments.fire("library_hooked", module)

        def uvloop(module: ModuleType) -> None:
            from autoinstrument.hooks import uvloop_loops

            uvloop_loops.install(patches, module, world.tasks, world.loops, ports)

        def trio(module: ModuleType) -> None:
            from autoinstrument.hooks import trio_scopes

            trio_scopes.install(patches, module, world.scopes, world.tasks, failed)

        def uvicorn(module: ModuleType) -> None:
            from autoinstrument.hooks import uvicorn_server

            uvicorn_server.install(patches, module, self._killed, failed)

        patches.when_imported("anyio._backends._asyncio", anyio_backend)
        sdk_sessions.install(patches, world.sessions, failed)
        patches.when_imported("uvloop", uvloop)
        patches.when_imported("trio._core._run", trio)
        patches.when_imported("uvicorn.server", uvicorn)

    def uninstall(self) -> None:
        """Restore every attribute and end the thread."""
        self.watch.stop()
        self._presence.end()
        self.patches.undo()
        self._known_loop.forget()
        self.moments.close()

    def _finish_first(self) -> None:
        """Let `finish` run before what has been registered for the exit since."""
        if not self._finished and self.pid == _getpid():
            atexit.unregister(self.finish)
            atexit.register(self.finish)

    def finish(self) -> None:
        """At exit: last checks, report, summary, exit status. Runs once, on the calling thread."""
        if self._finished or self.pid != _getpid():
            return
        self._finished = True
        try:
            self._finish()
        except Exception as exc:
            self.moments.failed("summary and report", exc)
        self.moments.close()

    def _killed(self) -> None:
        """A signal is about to end the process, with a loop that nobody will close."""
        if not self._finished and self.pid == _getpid():
            self.world.loops.loop_dropped()
        self.finish()

    def _keep_woven(self, now_ns: int) -> None:
        self.patches.woven.save()

    def _finish(self) -> None:
        self.watch.stop()
        self.patches.woven.save()
        self._presence.end()
        self.moments.fire("exit")
        statistics = self.world.statistics()
        findings = self.findings.all()
        ended = _time()
        notes = self._other_asyncio()
        if self.outlet is not None:
            notes += self._attempt("export", self.outlet.finish) or ()
        if "recording" in self.watch.drains:
            self._attempt("recording", lambda: self._recorder_now().finish())
        notes += (
            self._attempt(
                "report",
                lambda: reporting.write_files(
                    self.settings, self._folder, findings, statistics, (self.started, ended)
                ),
            )
            or ()
        )
        if not self.settings.quiet:
            reporting.print_summary(findings, statistics, ended - self.started, notes)
        if self.settings.fail_on:
            from autoinstrument import exits

            exits.fail_because_of(findings, self.settings.fail_on, say)

    def _other_asyncio(self) -> list[str]:
        """Return a line if the program runs another copy of asyncio than the one that is hooked."""
        if sys.modules.get("asyncio", self._asyncio) is self._asyncio:
            return []
        return [
            "asyncio was thrown out and imported again, by another tool; what ran in the second "
            "copy was not watched (asyncio-imported-again)"
        ]

    def _attempt(self, part: str, step: Callable[[], Any]) -> Any:
        """Take one step of the end; when it fails, the others follow all the same."""
        try:
            return step()
        except Exception as exc:
            self.moments.failed(part, exc)
            return None

    def _record(self) -> None:
        """Go on with the recording; called once a second in the agent's thread."""
        self._recorder_now().drain()

    def _recorder_now(self) -> Any:
        if self._recorder is None:
            from autoinstrument.export.recording import Recorder

            path = reporting.own_path(self._folder, self.settings.record)
            self._recorder = Recorder(path, self.world, say, started=self.started)
        return self._recorder

    # -- fork ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """End the thread: a process with threads must not fork, and Python 3.12 warns."""
        if self.outlet is not None:
            self._attempt("export", self.outlet.before_fork)
        self.world.generators.tell_again()
        self.watch.stop(_FORK_S)

    def after_fork_in_parent(self) -> None:
        """Go on watching, once the loop goes on: Python 3.13 counts threads only after this."""
        if self.outlet is not None:
            self._attempt("export", self.outlet.after_fork_in_parent)
        loops: list[Any] = [record() for record in self.world.loops.running()]
        if not loops:
            return
        try:
            loops[0].call_soon_threadsafe(self.watch.start)
        except (AttributeError, RuntimeError):  # gone or closed meanwhile
            self.watch.start()

    def after_fork_in_child(self) -> None:
        """Start anew: what the parent found is the parent's to report."""
        self._known_loop.forget()
        self.watch.forget_thread()
        self._debug_asked = False
        self.pid = _getpid()
        self.started = _time()
        self._finished = False
        self._recorder = None
        self.findings.reset()
        if self.outlet is not None:
            self._attempt("export", self.outlet.after_fork_in_child)
        if self.world.loops.running():
            self.watch.start()


def _finish_with_child(agent: Agent) -> None:
    """Finish in a multiprocessing child, which may run no atexit functions."""
    util = sys.modules["multiprocessing.util"]
    util.Finalize(None, agent.finish, exitpriority=0)


def asyncio_imported(module: ModuleType) -> None:
    """Start watching: called once by the start-up code when the program imports asyncio."""
    install()


def install() -> "Agent | None":
    """Install the agent in this process and return it; a second call returns the same one.

    Settings come from the environment (see docs/configuration.md). Returns None where the
    interpreter is not CPython.
    """
    if _current:
        return _current[0]
    if env.IMPLEMENTATION != "cpython":
        say(f"works with CPython only, not {env.IMPLEMENTATION}; the program runs unwatched")
        return None
    if not env.in_main_interpreter():
        return None
    section, source, trouble = file_section(os.environ)
    settings, problems = load(os.environ, section, source)
    problems += trouble
    os.environ.setdefault("ASYNCSCOPE_ROOT_PID", str(first_process()))
    agent = Agent(settings, problems)
    _current.append(agent)
    agent.install()
    atexit.register(agent.finish)
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
    # multiprocessing clears its finalizers after a fork, then calls what is registered here
    agent.patches.when_imported(
        "multiprocessing.util", lambda util: util.register_after_fork(agent, _finish_with_child)
    )
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _finish_with_child(agent)
    if settings.finish_on_sigterm or settings.fail_on:
        from autoinstrument import exits

        if settings.finish_on_sigterm:
            exits.finish_on_sigterm(agent.finish)
        if settings.fail_on:
            exits.note_exit_status(agent.moments)
    return agent


def _before_fork() -> None:
    if _current:
        _current[0].before_fork()


def _after_in_parent() -> None:
    if _current:
        _current[0].after_fork_in_parent()


def _after_in_child() -> None:
    if _current:
        _current[0].after_fork_in_child()


def uninstall() -> None:
    """Take the agent out of this process; every patched attribute is restored."""
    if _current:
        agent = _current.pop()
        atexit.unregister(agent.finish)
        agent.uninstall()


def current() -> "Agent | None":
    """Return the agent of this process, or None."""
    return _current[0] if _current else None


def status() -> dict[str, Any]:
    """Return what is installed and the state of each hook, for `asyncscope doctor`."""
    agent = current()
    hooks = [] if agent is None else agent.patches.states
    return {
        "installed": agent is not None,
        "python": sys.version.split()[0],
        "hooks": [
            {"name": hook.name, "target": hook.target, "state": hook.state, "detail": hook.detail}
            for hook in hooks
        ],
        "facts": env.facts(),
    }
