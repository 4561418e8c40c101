"""Settings from the environment and a file: environment over file over default."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from autoinstrument.config.schema import Settings, parse, settings


def load(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings and a line for each value that was not usable.

    A wrong value never stops anything: its default is used instead, and the line names the
    variable, the value, what is accepted and what is used.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in settings():
        text = environ.get(setting.variable)
        if text is None or text == "":
            continue
        try:
            values[setting.name] = parse(setting, text)
        except ValueError as exc:
            shown = setting.default if setting.default != "" else "nothing"
            problems.append(
                f"{setting.variable}={text!r} is not usable: expected {exc}; using {shown}"
            )
    return Settings(**values), problems


def changed(current: Settings) -> dict[str, Any]:
    """Return the settings that differ from their defaults, by name."""
    return {
        item.name: getattr(current, item.name)
        for item in fields(Settings)
        if getattr(current, item.name) != item.default
    }
