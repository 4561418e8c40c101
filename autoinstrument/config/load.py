"""Settings from the environment and a file: environment over file over default."""

from collections.abc import Mapping
from typing import Any

from autoinstrument.config.schema import Settings, parse, settings


def load(
    environ: Mapping[str, str], section: Mapping[str, Any] | None = None, source: str = "file"
) -> tuple[Settings, list[str]]:
    """Return the settings and a line for each value that was not usable.

    A wrong value never stops anything: its default is used instead, and the line names the
    variable, the value, what is accepted and what is used.

    Args:
        environ: the environment, which wins.
        section: the `agent` section of a configuration file, by setting name.
        source: the file's name, for the lines.
    """
    values: dict[str, Any] = {}
    problems = _unknown(section or {}, source)
    for setting in settings():
        given = [(f"agent.{setting.name} in {source}", (section or {}).get(setting.name))]
        given.append((setting.variable, environ.get(setting.variable)))
        for name, value in given:
            if value is None or value == "":
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            try:
                values[setting.name] = parse(setting, text)
            except ValueError as exc:
                used = values.get(setting.name, setting.default)
                shown = used if used != "" else "nothing"
                problems.append(f"{name}={text!r} is not usable: expected {exc}; using {shown}")
    return Settings(**values), problems


def _unknown(section: Mapping[str, Any], source: str) -> list[str]:
    """Return a line for each key that is no setting, with the nearest right one."""
    known = [setting.name for setting in settings()]
    lines = []
    for key in section:
        if key not in known:
            import difflib  # only after a mistake

            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"agent.{key} in {source} is no setting and is left out{hint}")
    return lines


def exporter_names(text: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the exporters asked for; `auto` is OTLP when an endpoint is configured."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    endpoint = any(
        name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") and value
        for name, value in environ.items()
    )
    if "auto" in names:
        names = [name for name in names if name != "auto"] + (["otlp"] if endpoint else [])
    return tuple(name for name in dict.fromkeys(names) if name != "none")
