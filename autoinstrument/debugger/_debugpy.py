"""The one file that imports debugpy and touches pydevd in this process.

Nothing here is imported or started by importing this module.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from . import pydevd_fixes
from .errors import DebugpyNotInstalled, PortTaken, ServerStartFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .config import DebugpyConfig

_lock: Final = threading.RLock()
_PORT_TRIES: Final = 5
_POLL_S: Final = 0.005
_AGENTS_THREAD: Final = "asyncscope agent"
_ADAPTER_SITE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adapter_site")
_started: set[int] = set()


def available() -> str:
    """Return why debugpy cannot be imported, `""` if it can; imports nothing heavy."""
    try:
        importlib.import_module("debugpy")
    except Exception as exc:
        return repr(exc)
    return ""


def _api() -> Any:
    """Return `debugpy.server.api`; its import starts nothing but makes `pydevd` importable."""
    with _lock, _quiet_start():
        try:
            return importlib.import_module("debugpy.server.api")
        except ImportError as exc:
            raise DebugpyNotInstalled(str(exc)) from exc


@contextmanager
def _quiet_start() -> Iterator[None]:
    # pydevd prints three lines about frozen modules, which do not concern the program's own code.
    name = "PYDEVD_DISABLE_FILE_VALIDATION"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)


def debugger() -> Any:
    """Return pydevd's debugger object, `None` if there is none; imports nothing."""
    pydevd: Any = sys.modules.get("pydevd")
    found = pydevd.get_global_debugger() if hasattr(pydevd, "get_global_debugger") else None
    return None if found is None or getattr(found, "pydb_disposed", False) else found


def running_elsewhere() -> bool:
    """Say whether a debugger runs here that this module did not start (an IDE's launch, as a rule).

    A debugger that was inherited by a fork counts: its threads and sockets stayed behind.
    """
    return debugger() is not None and os.getpid() not in _started


def is_client_connected() -> bool:
    """Say whether a client is attached; costs next to nothing and imports nothing."""
    api = sys.modules.get("debugpy.server.api")
    return api is not None and debugger() is not None and bool(api.is_client_connected())


def listen(config: DebugpyConfig) -> tuple[str, int]:
    """Open a port with an adapter process behind it, and return the address.

    Never with the adapter inside this process: there a single HTTP POST, which any web page in a
    browser on this machine can send, is enough to run code.

    Raises:
        PortTaken: as it says.
        ServerStartFailed: everything else, with debugpy's words.
    """
    with _lock, _quiet_start():
        api = _api()
        _configure(api, config)
        _wait_released()
        hide_agents_thread()
        # debugpy refuses a second `listen` even after everything of the first is gone.
        if debugger() is None:
            api.listen.called = False
        host, port = _listen(api, config)
        _started.add(os.getpid())
        if config.repair_pydevd:
            pydevd_fixes.install()
    return str(host), int(port)


def _listen(api: Any, config: DebugpyConfig) -> tuple[str, int]:
    last: ServerStartFailed | None = None
    for _ in range(_PORT_TRIES if config.port == 0 else 1):
        # debugpy makes a port reusable only if it was named: with 0 it could not be opened again
        # for a minute after a client was there.
        port = config.port or _free_port(config.host)
        try:
            host, port = api.listen((config.host, port))
        except Exception as exc:
            last = _start_error(exc, config.host, port)
            if isinstance(last, PortTaken):
                continue
            raise last from exc
        return str(host), int(port)
    raise last or ServerStartFailed("no port was tried")


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as exc:
        raise ServerStartFailed(f"debugpy cannot listen on {host}: {exc}") from exc


def _configure(api: Any, config: DebugpyConfig) -> None:
    options: dict[str, Any] = {
        "subProcess": config.debug_children,
        "pythonEnv": _adapter_environment(repaired=config.repair_pydevd),
    }
    if config.adapter_python:
        options["python"] = config.adapter_python
    if config.log_dir and not api.ensure_logging.ensured:
        api.log_to(config.log_dir)
    api.configure(options)


def _adapter_environment(*, repaired: bool) -> dict[str, str]:
    # The adapter is a Python process: it must not start the agent, or a debugger, itself.
    found = {k: v for k, v in os.environ.items() if not k.startswith("ASYNCSCOPE_")}
    if repaired:
        others = found.get("PYTHONPATH")
        found["PYTHONPATH"] = os.pathsep.join(
            [_ADAPTER_SITE, others] if others else [_ADAPTER_SITE]
        )
    return found


def _start_error(exc: Exception, host: str, port: int) -> ServerStartFailed:
    text = str(exc)
    if "ddress already in use" in text or "10048" in text:
        return PortTaken(f"port {port} of {host} is taken by another process")
    return ServerStartFailed(f"debugpy cannot listen on {host}:{port}: {text}")


def load() -> None:
    """Import debugpy, which takes seconds where its code has to be compiled first."""
    _api()


def connect(host: str, port: int, token: str) -> None:
    """Dial out to a client; blocks until the client has finished the handshake."""
    with _quiet_start():
        api = _api()
        _wait_released()
        # Otherwise pydevd rewrites the command lines of all child processes.
        api.configure(subProcess=False)
        _started.add(os.getpid())
        hide_agents_thread()
        api.connect((host, port), access_token=token)


def wait_for_client() -> Any:
    """Return the blocking function that waits for a client, with its `cancel` attribute."""
    return _api().wait_for_client


def stop(timeout_s: float = 3.0) -> None:
    """End tracing and close pydevd's connection; an adapter process ends itself then.

    Blocks until pydevd has let go: before that a new connection would not be made.
    """
    pydevd: Any = sys.modules.get("pydevd")
    if not hasattr(pydevd, "get_global_debugger"):
        return
    # Not `debugger()`: after the client has left, a debugger that is disposed of is still there.
    if pydevd.get_global_debugger() is not None:
        pydevd.stoptrace()
        _end_tracing()
    forget_agents_thread()
    _wait_released(timeout_s)


def _wait_released(timeout_s: float = 3.0) -> None:
    """Wait until a debugger that is being disposed of has let go."""
    pydevd: Any = sys.modules.get("pydevd")
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = pydevd.get_global_debugger() if pydevd is not None else None
        if found is None or not getattr(found, "pydb_disposed", False):
            return
        time.sleep(_POLL_S)


def stop_after_disconnect() -> None:
    """End tracing after a dialled-out client has left.

    pydevd is at it by itself, and would take half a second waiting for its own threads; there is
    nothing left to wait for.
    """
    pydevd: Any = sys.modules.get("pydevd")
    constants: Any = sys.modules.get("_pydevd_bundle.pydevd_constants")
    found = pydevd.get_global_debugger() if hasattr(pydevd, "get_global_debugger") else None
    if found is not None:
        found.dispose_and_kill_all_pydevd_threads(wait=False)
        if hasattr(constants, "set_global_debugger"):
            constants.set_global_debugger(None)
        pydevd.stoptrace()
        _end_tracing()
    forget_agents_thread()


def answer_at_once() -> bool:
    """Switch Nagle's algorithm off for a connection just made; say whether there is one yet."""
    found = debugger()
    if getattr(getattr(found, "writer", None), "sock", None) is None:
        return False
    pydevd_fixes.answer_at_once(found)
    return True


def hurry() -> None:
    """Let the thread that waits in `connect` look at once whether the handshake is done."""
    event = getattr(debugger(), "_py_db_command_thread_event", None)
    if event is not None:
        event.set()


def stop_at(frame: FrameType) -> None:
    """Let the debugger stop in `frame` as soon as execution is back in it."""
    pydevd = sys.modules.get("pydevd")
    if pydevd is None or debugger() is None:
        return
    pydevd.settrace(
        suspend=True,
        trace_only_current_thread=True,
        patch_multiprocessing=False,
        notify_stdin=False,
        stop_at_frame=frame,
    )


def hide_thread(thread: threading.Thread) -> None:
    """Let pydevd neither trace nor suspend a thread; to be called before it starts."""
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined]  # pydevd looks for these
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]


def hide_agents_thread() -> None:
    """Let pydevd leave the agent's thread alone.

    It is a bare thread, unknown to `threading`; pydevd makes known what it finds, and suspends it.
    So it is made known first, with the marks by which pydevd hides threads from everybody.
    """
    agent: Any = sys.modules.get("autoinstrument.agent")
    current = agent.current() if hasattr(agent, "current") else None
    ident = current.watch.ident if current is not None else 0
    known: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    # pydevd may have been first, in a thread that was started anew after a fork
    if ident and isinstance(known.get(ident), threading._DummyThread | None):
        forget_agents_thread()
        thread = threading.Thread(name=_AGENTS_THREAD, daemon=True)
        hide_thread(thread)
        thread._ident = ident  # type: ignore[attr-defined]
        thread._started.set()  # type: ignore[attr-defined]
        known[ident] = thread


def forget_agents_thread() -> None:
    """Undo `hide_agents_thread`."""
    known: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    for ident, thread in list(known.items()):
        if thread.name == _AGENTS_THREAD:
            del known[ident]


def _end_tracing() -> None:
    """Let every thread end its own tracing at its next call.

    Before `sys.monitoring` pydevd ends it for the thread alone in which it is asked to, and the
    program's would go on at a sixth of its speed. Only a thread itself can end its tracing.
    """
    tracing: Any = sys.modules.get("pydevd_tracing")
    if hasattr(sys, "monitoring") or not hasattr(tracing, "set_trace_to_threads"):
        return

    def end(frame: Any, event: str, arg: object) -> None:
        sys.settrace(None)
        while frame is not None:
            frame.f_trace = None
            frame = frame.f_back

    tracing.set_trace_to_threads(end, create_dummy_thread=False)
