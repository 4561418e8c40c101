# ruff: noqa: RUF009  (`_key` returns a dataclass field)
"""Settings of the debugger: the sections of `debug_config.yaml`, and `debugpy_config.json`.

Every field is a key of the file with the same name. Unknown keys and values of the wrong sort are
errors that name the nearest right one: a misspelt switch must not be a switch that does nothing.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def _key(default: Any, meaning: str, **limits: Any) -> Any:
    metadata = {"meaning": meaning, **limits}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class DebugpyConfig:
    """Options of `DebugpyServer`; the keys of `debugpy_config.json`."""

    host: str = _key("127.0.0.1", "address to listen on; others than loopback need allow_remote")
    port: int = _key(0, "port to listen on; 0 picks a free one", at_least=0, at_most=65535)
    wait_for_client: bool = _key(False, "block the start until a client is attached")
    wait_timeout_s: float = _key(0.0, "give up waiting after this time; 0 waits on", at_least=0)
    allow_remote: bool = _key(False, "listen on an address that other machines can reach")
    allow_privileged: bool = _key(False, "start in a process with raised privileges too")
    debug_children: bool = _key(False, "let debugpy attach to child processes; +1 s for each")
    in_child: str = _key(
        "free_port",
        "what a child does whose ancestor has the port",
        choices=("free_port", "nothing"),
    )
    announce: bool = _key(True, "let other processes of this user find the port")
    repair_pydevd: bool = _key(True, "apply the repairs of pydevd_fixes.py")
    log_dir: str = _key("", "directory for debugpy's own logs; none if empty")
    adapter_python: str = _key("", "interpreter of the adapter process; this one if empty")


@dataclass(frozen=True, slots=True)
class RemoteDebuggingConfig:
    """Section `remote_debugging`."""

    enabled: bool = _key(True, "false makes every debug session an empty one, nearly free")
    debugpy_config: str = _key("", "path of a debugpy_config.json, relative to this file")
    host: str = _key("127.0.0.1", "where the process to be debugged listens")
    port: int = _key(0, "its port; 0 means this very process", at_least=0, at_most=65535)
    connect_timeout_s: float = _key(10.0, "for connection and handshake", above=0)
    request_timeout_s: float = _key(10.0, "for each answer", above=0)
    stop_timeout_s: float = _key(30.0, "a stop that lasts longer is ended", above=0)
    just_my_code: bool = _key(True, "hide the standard library and site-packages")


@dataclass(frozen=True, slots=True)
class AsyncDebuggingConfig:
    """Section `async_debugging`."""

    enabled: bool = _key(True, "false makes AsyncDebugger pass everything through")
    remote_debugging: bool = _key(True, "let operations with breakpoints open a debug session")
    track_tasks: bool = _key(True, "record tasks")
    track_locks: bool = _key(True, "record waits for and holding of locks")
    track_sdk_sessions: bool = _key(True, "record SDK sessions")


@dataclass(frozen=True, slots=True)
class ScopeTrackingConfig:
    """Section `scope_tracking`."""

    enabled: bool = _key(True, "record cancel scopes")
    max_nesting: int = _key(32, "notify when scopes are nested deeper", at_least=1)


@dataclass(frozen=True, slots=True)
class MonitoringConfig:
    """Section `monitoring`."""

    interval_s: float = _key(1.0, "time between two looks at what is running", at_least=0.01)
    retention_s: float = _key(3600.0, "finished operations older than this are dropped", above=0)
    max_operations: int = _key(1000, "finished operations kept", at_least=1)


@dataclass(frozen=True, slots=True)
class BreakpointsConfig:
    """Section `breakpoints`."""

    lines: list[str] = _key(list, "set in every session: 'file.py:12' or 'file.py:12 if x > 3'")
    exceptions: list[str] = _key(list, "stop at: raised, uncaught, userUnhandled")
    exception_types: list[str] = _key(list, "limit exceptions to these types")
    break_on_interval_s: float = _key(10.0, "at most one stop of a kind and place", at_least=0)
    max_per_session: int = _key(100, "breakpoints a session may set", at_least=1)


@dataclass(frozen=True, slots=True)
class NotificationsConfig:
    """Section `notifications`."""

    enabled: bool = _key(True, "log a line and call the notification handlers")
    slow_operation_ms: float = _key(5000.0, "an operation took longer; 0 is off", at_least=0)
    long_scope_ms: float = _key(30000.0, "a tracked scope was open longer; 0 is off", at_least=0)
    lock_wait_ms: float = _key(1000.0, "a tracked lock was waited for longer", at_least=0)
    failed_operations: bool = _key(True, "an operation ended with an exception")


@dataclass(frozen=True, slots=True)
class SessionsConfig:
    """Section `sessions`."""

    max_sessions: int = _key(16, "open at the same time", at_least=1)
    keep_events: int = _key(1000, "latest events kept for each session", at_least=0)
    keep_closed: int = _key(100, "closed sessions that list_sessions still knows", at_least=0)
    close_timeout_s: float = _key(5.0, "bound for the clean-up of a session", above=0)
    metadata: dict[str, str] = _key(dict, "added to the metadata of every session")


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """Section `security`."""

    allow_remote: bool = _key(False, "connect to, and listen on, other hosts than loopback")
    allow_privileged: bool = _key(False, "debug a process with raised privileges")
    allow_evaluate: bool = _key(True, "let sessions evaluate expressions")
    allow_on_demand: bool = _key(
        True, "let `asyncscope debug PID` open a port in a running process"
    )


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """Section `logging`."""

    level: str = _key(
        "warning",
        "of the loggers autoinstrument.debugger.*",
        choices=("debug", "info", "warning", "error", "critical"),
    )
    file: str = _key("", "write those log lines to this file as well")
    events: bool = _key(False, "log every debug event at level info")


@dataclass(frozen=True, slots=True)
class DebugConfig:
    """The debugger's sections of `debug_config.yaml`."""

    remote_debugging: RemoteDebuggingConfig = field(default_factory=RemoteDebuggingConfig)
    async_debugging: AsyncDebuggingConfig = field(default_factory=AsyncDebuggingConfig)
    scope_tracking: ScopeTrackingConfig = field(default_factory=ScopeTrackingConfig)
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    breakpoints: BreakpointsConfig = field(default_factory=BreakpointsConfig)
    notifications: NotificationsConfig = field(default_factory=NotificationsConfig)
    sessions: SessionsConfig = field(default_factory=SessionsConfig)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)


# Belongs to the agent, which reads it itself.
FOREIGN_SECTIONS = frozenset({"agent"})


def load_debug_config(path: str | Path) -> DebugConfig:
    """Read the debugger's sections of a `debug_config.yaml` (or the same as JSON).

    Raises:
        ConfigError: the file cannot be read, or has a key or value that is not known.
    """
    from .yaml_subset import parse_yaml

    text = _read(path)
    content = _json(path, text) if str(path).endswith(".json") else parse_yaml(text, str(path))
    own = {key: value for key, value in content.items() if key not in FOREIGN_SECTIONS}
    return read_section(DebugConfig, own, str(path), FOREIGN_SECTIONS)


def load_debugpy_config(path: str | Path) -> DebugpyConfig:
    """Read a `debugpy_config.json`.

    Raises:
        ConfigError: the file cannot be read, or has a key or value that is not known.
    """
    return read_section(DebugpyConfig, _json(path, _read(path)), str(path))


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc}") from exc


def _json(path: str | Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as exc:
        raise ConfigError(f"{path} is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold an object")
    return content


def read_section(
    cls: type[T], content: Mapping[str, Any], where: str, foreign: frozenset[str] = frozenset()
) -> T:
    """Return the dataclass with the values of the mapping; `foreign` are other right keys.

    Raises:
        ConfigError: see `load_debug_config`.
    """
    hints = get_type_hints(cls)
    known = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]  # a dataclass
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{_nearest(key, [*known, *foreign])}")
        place = f"{where}: {key}"
        if is_dataclass(hints[key]):
            if value is not None and not isinstance(value, dict):
                raise ConfigError(f"{place} must be a section, not {value!r}")
            values[key] = read_section(hints[key], value or {}, place)
        else:
            values[key] = _value(hints[key], value, place, known[key].metadata)
    return cls(**values)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _value(hint: Any, value: Any, place: str, limits: Mapping[str, Any]) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if get_origin(hint) in (list, dict):
        return _collection(hint, value, place)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{place} must be {_NAMES[hint]}, not {value!r}")
    _check_limits(value, place, limits)
    return value


def _collection(hint: Any, value: Any, place: str) -> Any:
    origin = get_origin(hint)
    if not isinstance(value, origin):
        raise ConfigError(f"{place} must be a {origin.__name__}, not {value!r}")
    item = get_args(hint)[-1]
    for entry in value.values() if origin is dict else value:
        if not isinstance(entry, item):
            raise ConfigError(f"{place} must hold {_NAMES[item]} only, not {entry!r}")
    return value


def _check_limits(value: Any, place: str, limits: Mapping[str, Any]) -> None:
    choices = limits.get("choices")
    if choices is not None and value not in choices:
        hint = _nearest(value, list(choices))
        raise ConfigError(f"{place} must be one of {', '.join(choices)}, not {value!r}{hint}")
    if "at_least" in limits and value < limits["at_least"]:
        raise ConfigError(f"{place} must be {limits['at_least']} or more, not {value!r}")
    if "at_most" in limits and value > limits["at_most"]:
        raise ConfigError(f"{place} must be {limits['at_most']} or less, not {value!r}")
    if "above" in limits and value <= limits["above"]:
        raise ConfigError(f"{place} must be more than {limits['above']}, not {value!r}")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Return the defaults of a section as plain data, as the shipped files have them."""
    found: dict[str, Any] = {}
    for entry in fields(cls):
        default = entry.default if entry.default is not MISSING else None
        if entry.default_factory is not MISSING:
            default = entry.default_factory()
        found[entry.name] = defaults_of(type(default)) if is_dataclass(default) else default
    return found
