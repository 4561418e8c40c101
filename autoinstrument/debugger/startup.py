"""Open the debug port that `ASYNCSCOPE_DEBUGPY` asks for, and never harm the program by it.

Who gets the port: the first process of a family that runs an event loop. Its descendants open a
free port each and say which. Called by the agent at the first event loop, or, with
`ASYNCSCOPE_DEBUGPY_WAIT=1`, before the program's first line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from autoinstrument.registry import is_alive

from . import _debugpy
from .announce import ask_for, holder_of, note
from .config import DebugConfig, DebugpyConfig, load_debug_config, load_debugpy_config
from .errors import ConfigError, DebuggerError, PortTaken
from .security import is_loopback
from .server import DebugpyServer, current_server

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "ASYNCSCOPE_DEBUGPY"
OWNER: Final = "ASYNCSCOPE_DEBUGPY_OWNER"
_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"", "0", "false", "no", "off"})
_MAX_PORT: Final = 65535

# Helper processes that Python starts by itself, with the environment of the program.
_HELPERS: Final = (
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
    "debugpy/adapter",
    "debugpy\\adapter",
    "debugpy/launcher",
)
# Programs whose first process only looks after others: the port belongs to a worker.
_SUPERVISORS: Final = {
    "gunicorn": ("",),
    "uvicorn": ("--reload", "--workers"),
    "hypercorn": ("--reload", "-w", "--workers"),
    "granian": ("",),
}


@dataclass(frozen=True, slots=True)
class _Request:
    config: DebugpyConfig
    in_child: str


def start_from_environment(
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    at_loop: bool = True,
    address: str = "",
    forked: bool = False,
    exact: bool = False,
) -> DebugpyServer | None:
    """Open the port the environment asks for, and return its server, `None` if there is none.

    `address` stands for `ASYNCSCOPE_DEBUGPY` where the environment does not set it.

    `say` gets every line for the user; nothing is printed otherwise and nothing is raised for
    what can go wrong with a port. `at_loop` is false when no event loop is about to run: then a
    process that only supervises workers is passed over. `forked` says that this process is a fork
    of the one that was started, as the workers of gunicorn are; `exact`, that no other port will do
    than the one asked for.
    """
    try:
        request = _read(environ, address)
    except (ConfigError, ValueError) as exc:
        say(f"{exc}; no debugger is started")
        return None
    if request is None or _is_passed_over(at_loop=at_loop, forked=forked):
        return None
    if exact:
        request = replace(request, in_child="exact")
    return _start(request, environ, say)


def start_on_demand(
    address: str, say: Callable[[str], None], environ: Mapping[str, str] | None = None
) -> DebugpyServer | None:
    """Open a port in a process that runs already; `address` as in `ASYNCSCOPE_DEBUGPY`.

    Returns the server that is there, if there is one. Blocks for 0.3 s; works from any thread that
    is hidden from the debugger (see `_debugpy.hide_thread`).
    """
    server = current_server()
    if server is not None:
        return server
    known = dict(os.environ if environ is None else environ)
    if known.get(VARIABLE, "").strip().lower() in _OFF - {"", "0"}:
        say(f"{VARIABLE}={known[VARIABLE]} in this process forbids a debug port")
        return None
    known[VARIABLE] = address
    known.pop(VARIABLE + "_WAIT", None)
    known.pop(OWNER, None)  # this very port is asked for
    try:
        path = known.get("ASYNCSCOPE_CONFIG", "").strip()
        allowed = load_debug_config(path).security.allow_on_demand if path else True
    except ConfigError as exc:
        say(f"{exc}; no debugger is started")
        return None
    if not allowed:
        say(f"security.allow_on_demand in {path} forbids a debug port")
        return None
    return start_from_environment(known, say, exact=True)


def serve_request(
    action: str, address: str, say: Callable[[str], None]
) -> dict[str, object] | None:
    """Do what `asyncscope debug` asks for, and return the answer; `None` if `say` got the reason.

    Args:
        action: `start`, or `stop` to close the port and end what it costs.
        address: As in `ASYNCSCOPE_DEBUGPY`; 0 picks a free port.
        say: Gets every line for the user.
    """
    if action == "stop":
        server = current_server()
        if server is None:
            say("this process has no debug port that asyncscope has opened")
            return None
        host, port = server.address
        server.stop()
        say(f"debug port {port} is closed (process {os.getpid()})")
        return {"host": host, "port": port, "stopped": True}
    if action != "start":
        say(f"a debugger can start or stop, not {action!r}")
        return None
    before = current_server()
    server = start_on_demand(address, say)
    if server is None:
        return None
    host, port = server.address
    return {"host": host, "port": port, "before": before is not None}


def _read(environ: Mapping[str, str], address: str) -> _Request | None:
    """Return what is asked for, environment before file; `None` for nothing."""
    text = (environ.get(VARIABLE) or address).strip()
    path = environ.get("ASYNCSCOPE_CONFIG", "").strip()
    settings = load_debug_config(path) if path else DebugConfig()
    if text.lower() in _OFF - {"0"}:
        return None
    base = _base(path, settings)
    host, port = parse_address(text, base.host)
    return _Request(
        replace(
            base,
            host=host,
            port=port,
            wait_for_client=_flag(environ, "_WAIT", default=base.wait_for_client),
            allow_remote=_flag(
                environ,
                "_ALLOW_REMOTE",
                default=base.allow_remote or settings.security.allow_remote,
            ),
            allow_privileged=_flag(
                environ,
                "_ALLOW_PRIVILEGED",
                default=base.allow_privileged or settings.security.allow_privileged,
            ),
        ),
        base.in_child,
    )


def _base(path: str, settings: DebugConfig) -> DebugpyConfig:
    name = settings.remote_debugging.debugpy_config
    if not name:
        return DebugpyConfig(log_dir="")
    return load_debugpy_config(os.path.join(os.path.dirname(path), name))


def parse_address(text: str, default_host: str = "127.0.0.1") -> tuple[str, int]:
    """Return host and port of `PORT`, `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: with the variable, the value and what is accepted.
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.strip().strip("[]") if colon else default_host
    if not port.isdigit() or int(port) > _MAX_PORT or not host:
        raise ValueError(f"{VARIABLE}={text!r}: expected PORT or HOST:PORT, 0 for a free port")
    return host, int(port)


def _flag(environ: Mapping[str, str], suffix: str, *, default: bool) -> bool:
    text = environ.get(VARIABLE + suffix)
    if text is None:
        return default
    if text.strip().lower() in _ON | _OFF:
        return text.strip().lower() in _ON
    raise ValueError(f"{VARIABLE}{suffix}={text!r}: expected 1 or 0")


def _is_passed_over(*, at_loop: bool, forked: bool) -> bool:
    words = list(getattr(sys, "orig_argv", sys.argv))
    line = " ".join(words)
    if any(helper in line for helper in _HELPERS):
        return True
    supervisor = "" if forked else _supervisor(words)
    # gunicorn's master runs a loop of its own, for its control socket.
    return bool(supervisor) and (not at_loop or supervisor == "gunicorn")


def _supervisor(words: list[str]) -> str:
    """Return which program that only looks after workers a command line starts, `""` if none."""
    if any("spawn_main" in word or word == "--multiprocessing-fork" for word in words):
        return ""
    for name, flags in _SUPERVISORS.items():
        named = any(os.path.basename(word) == name for word in words)
        if named and any(not f or any(w.split("=")[0] == f for w in words) for f in flags):
            return name
    return ""


def _start(
    request: _Request, environ: Mapping[str, str], say: Callable[[str], None]
) -> DebugpyServer | None:
    reason = _why_not()
    if reason:
        say(f"{VARIABLE} is ignored: {reason}")
        return None
    config = request.config
    owner = _other_owner(environ)
    if owner and config.port:
        if request.in_child == "nothing":
            note(f"port {config.port} is held by process {owner}")
            return None
        say(f"process {owner} has debug port {config.port}; process {os.getpid()} takes a free one")
        note(f"port {config.port} is held by process {owner}")
        config = replace(config, port=0, wait_for_client=False)
    server = _open(replace(config, wait_for_client=False), request.in_child, say)
    if server is None:
        return None
    host, port = server.address
    if not owner and isinstance(environ, MutableMapping):
        environ[OWNER] = str(os.getpid())
    _tell(host, port, config, say)
    if config.wait_for_client:
        _wait(server, config, say)
    return server


def _open(config: DebugpyConfig, in_child: str, say: Callable[[str], None]) -> DebugpyServer | None:
    """Open the port, or a free one where a process of this user that has told so holds it."""
    pid = os.getpid()
    server = DebugpyServer(config=config)
    if config.port and config.announce:
        ask_for(config.port)
    try:
        server.start()
    except PortTaken as exc:
        holder = holder_of(config.port)
        text = f"port {config.port} is held by {holder}" if holder else str(exc)
        if not holder or in_child == "exact":
            say(f"no debugger in process {pid}: {text}; 0 picks a free one")
        if in_child != "exact":
            note(text)
        if not holder or in_child != "free_port":
            return None
        say(f"{holder} has debug port {config.port}; process {pid} takes a free one")
        return _open(replace(config, port=0), in_child, say)
    except DebuggerError as exc:
        say(f"no debugger in process {pid}: {exc}")
        return None
    return server


def _why_not() -> str:
    missing = _debugpy.available()
    if missing:
        return f"debugpy is missing ({missing}); pip install 'asyncscope[debug]'"
    if current_server() is not None:
        return "this process has a debug port already"
    if _debugpy.running_elsewhere():
        return "a debugger runs in this process already (started by an IDE, or before a fork)"
    gevent = sys.modules.get("gevent.monkey")
    patched = gevent is not None and gevent.is_module_patched("threading")
    if patched and os.environ.get("GEVENT_SUPPORT", "").lower() not in ("true", "1"):
        return "gevent has patched threads; set GEVENT_SUPPORT=True for debugpy"
    return ""


def _other_owner(environ: Mapping[str, str]) -> int:
    """Return the living process that has the port of this family, 0 if that is nobody else."""
    text = environ.get(OWNER, "")
    pid = int(text) if text.isdigit() else 0
    return pid if pid not in (0, os.getpid()) and is_alive(pid) else 0


def _tell(host: str, port: int, config: DebugpyConfig, say: Callable[[str], None]) -> None:
    say(f"debugger listens on {host}:{port} (process {os.getpid()})")
    if not is_loopback(host):
        say(
            f"everybody who reaches {host}:{port} can run code in this process;"
            " 127.0.0.1 and an SSH tunnel are safer"
        )
    if not hasattr(sys, "monitoring"):
        say("Python 3.11 runs traced code 5 to 10 times slower while the debug port is open")
    if config.debug_children:
        say("debugpy attaches to child processes too: each starts about 1 s later")


def _wait(server: DebugpyServer, config: DebugpyConfig, say: Callable[[str], None]) -> None:
    say("waiting for a debugger to attach")
    try:
        server.wait_for_client(config.wait_timeout_s or None)
    except DebuggerError as exc:
        say(f"{exc}; the program starts without")
