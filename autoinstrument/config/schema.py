"""Every setting of the agent: name, type, default, unit, and what it means."""

from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def _setting(default: Any, variable: str, meaning: str, **limits: Any) -> Any:
    return dataclass_field(
        default=default, metadata={"variable": variable, "meaning": meaning, **limits}
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process; `load` makes them from environment and file."""

    quiet: bool = _setting(False, "ASYNCSCOPE_QUIET", "nothing on stderr")
    report: str = _setting("", "ASYNCSCOPE_REPORT", "path of the JSON report written at exit")
    record: str = _setting(
        "", "ASYNCSCOPE_RECORD", "path of a recording, written while the program runs"
    )
    exporter: str = _setting(
        "auto",
        "ASYNCSCOPE_EXPORTER",
        "where spans go: auto, otlp, file, console, provider, none; several with commas",
        choices=("auto", "otlp", "file", "console", "provider", "none"),
    )
    export_file: str = _setting(
        "", "ASYNCSCOPE_EXPORT_FILE", "path of the file exporter's OTLP JSON lines"
    )
    nest_spans: bool = _setting(
        True, "ASYNCSCOPE_NEST_SPANS", "the program's own spans hang below the task that makes them"
    )
    debugpy: str = _setting("", "ASYNCSCOPE_DEBUGPY", "PORT or HOST:PORT for an IDE; 0 picks one")
    break_on: str = _setting(
        "", "ASYNCSCOPE_BREAK_ON", "kinds of finding at which an attached debugger stops"
    )
    fail_on: str = _setting(
        "", "ASYNCSCOPE_FAIL_ON", "kinds of finding (or any) that turn exit status 0 into 3"
    )
    detect: str = _setting("all", "ASYNCSCOPE_DETECT", "kinds to look for; -kind switches one off")
    baseline: str = _setting(
        "", "ASYNCSCOPE_BASELINE", "file of findings that are known and not reported"
    )
    stack_depth: int = _setting(
        8, "ASYNCSCOPE_STACK_DEPTH", "frames kept of each place", at_least=1, at_most=64
    )
    block_ms: int = _setting(
        250,
        "ASYNCSCOPE_BLOCK_MS",
        "a turn of the loop this long is a finding",
        at_least=20,
        at_most=1_000_000,
    )
    stall_s: float = _setting(
        0.0,
        "ASYNCSCOPE_STALL_S",
        "print all waiting tasks when one waits this long; 0 is off",
        at_least=0,
        at_most=1_000_000,
    )
    dump_signal: str = _setting(
        "",
        "ASYNCSCOPE_DUMP_SIGNAL",
        "name of a signal, such as SIGUSR1, at which all waiting tasks are printed",
    )
    lock_wait_ms: int = _setting(
        1000,
        "ASYNCSCOPE_LOCK_WAIT_MS",
        "a wait for a lock this long is contention",
        at_least=1,
        at_most=1_000_000,
    )
    cancel_grace_ms: int = _setting(
        1000,
        "ASYNCSCOPE_CANCEL_GRACE_MS",
        "a cancellation may take this long",
        at_least=1,
        at_most=1_000_000,
    )
    span_budget: int = _setting(
        1000, "ASYNCSCOPE_SPAN_BUDGET", "spans exported a second", at_least=1, at_most=1_000_000
    )
    long_open_s: float = _setting(
        60.0,
        "ASYNCSCOPE_LONG_OPEN_S",
        "work open this long is announced to the backend; 0 is off",
        at_least=0,
        at_most=1_000_000,
    )
    memory_mb: int = _setting(
        64,
        "ASYNCSCOPE_MEMORY_MB",
        "bound of what is kept of finished work",
        at_least=1,
        at_most=1_000_000,
    )
    stats_file: str = _setting(
        "", "ASYNCSCOPE_STATS_FILE", "path of a small JSON with counters, written at exit"
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the loader, `doctor` and the documentation see it."""

    name: str
    variable: str
    meaning: str
    default: Any
    choices: tuple[str, ...]
    at_least: float | None
    at_most: float | None


def settings() -> list[Setting]:
    """Return all settings in the order of `Settings`."""
    return [
        Setting(
            item.name,
            item.metadata["variable"],
            item.metadata["meaning"],
            item.default,
            item.metadata.get("choices", ()),
            item.metadata.get("at_least"),
            item.metadata.get("at_most"),
        )
        for item in fields(Settings)
    ]


TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off", ""})


def parse(setting: Setting, text: str) -> Any:
    """Return the value of a setting from its text.

    Raises:
        ValueError: the text is no such value; the message says what is accepted.
    """
    readers: dict[type, Callable[[Setting, str], Any]] = {
        bool: _read_bool,
        int: _read_number,
        float: _read_number,
        str: _read_text,
    }
    return readers[type(setting.default)](setting, text.strip())


def _read_bool(setting: Setting, text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError("1, true, yes, on or 0, false, no, off")


def _read_number(setting: Setting, text: str) -> Any:
    kind = type(setting.default)
    noun = "a whole number" if kind is int else "a number"
    limits = f"{noun} of at least {setting.at_least}"
    if setting.at_most is not None:
        limits += f" and at most {setting.at_most}"
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(limits) from None
    low = setting.at_least is not None and not value >= setting.at_least
    high = setting.at_most is not None and value > setting.at_most
    if low or high:
        raise ValueError(limits)
    return value


def _read_text(setting: Setting, text: str) -> str:
    if setting.choices:
        for part in text.split(","):
            if part.strip() not in setting.choices:
                raise ValueError(f"one or more of {', '.join(setting.choices)}")
    return text
