"""Every setting of the agent: name, type, default, unit, and what it means."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_known: list["Setting"] = []


class Setting:
    """One setting as the loader, `doctor` and the documentation see it; made in `Settings`.

    `at_least` and `at_most` are None where a number has no limit, `choices` is empty where any
    text will do.
    """

    def __init__(
        self,
        default: Any,
        variable: str,
        meaning: str,
        *,
        choices: tuple[str, ...] = (),
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Describe a setting; it learns its name from the class it stands in."""
        self.name = ""
        self.default = default
        self.variable = variable
        self.meaning = meaning
        self.choices = choices
        self.at_least = at_least
        self.at_most = at_most

    def __set_name__(self, owner: type, name: str) -> None:
        """Note the name, and that there is such a setting."""
        self.name = name
        _known.append(self)


_setting: Any = Setting  # typed as what an instance of `Settings` has


class Settings:
    """The settings of one process; `load` makes them from environment and file.

    Unchangeable, and equal when all values are. No dataclass: making one with so many fields takes
    longer than anything else at the start of a program.
    """

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
    file: str = _setting("", "ASYNCSCOPE_FILE", "path of the file exporter's OTLP JSON lines")
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
    finish_on_sigterm: bool = _setting(
        False,
        "ASYNCSCOPE_FINISH_ON_SIGTERM",
        "export, report and summary when SIGTERM ends a program that does not handle it",
    )
    stats_file: str = _setting(
        "", "ASYNCSCOPE_STATS_FILE", "path of a small JSON with counters, written at exit"
    )

    def __init__(self, **values: Any) -> None:
        """Take values by name, and the default of every other setting.

        Raises:
            TypeError: there is no setting of a name.
        """
        own = vars(self)
        for setting in _known:
            own[setting.name] = values.pop(setting.name, setting.default)
        if values:
            raise TypeError(f"there is no setting {min(values)}")

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: the settings of a process do not change."""
        raise AttributeError(f"cannot assign to setting {name}")

    def __eq__(self, other: object) -> bool:
        """Compare all values."""
        return isinstance(other, Settings) and vars(self) == vars(other)

    def __hash__(self) -> int:
        """Return the same for equal settings."""
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        """Name what differs from the defaults."""
        return (
            f"Settings({', '.join(f'{name}={value!r}' for name, value in changed(self).items())})"
        )


def settings() -> list[Setting]:
    """Return all settings in the order of `Settings`."""
    return list(_known)


def changed(current: Settings) -> dict[str, Any]:
    """Return the settings that differ from their defaults, by name."""
    return {
        setting.name: getattr(current, setting.name)
        for setting in _known
        if getattr(current, setting.name) != setting.default
    }


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
