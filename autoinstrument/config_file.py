"""The file that `ASYNCSCOPE_CONFIG` names: the agent's section of it, and what is wrong with it."""

from collections.abc import Mapping
from typing import Any


def file_section(environ: Mapping[str, str]) -> tuple[dict[str, Any], str, list[str]]:
    """Return the section `agent`, the file's path, and a line for each problem.

    The other sections are the debugger's, which reads them when it is used. A mistake in them is
    told here all the same: a misspelt section would do nothing and say nothing.
    """
    path = environ.get("ASYNCSCOPE_CONFIG", "").strip()
    if not path:
        return {}, "", []
    import json

    from autoinstrument.debugger.config import load_debug_config
    from autoinstrument.debugger.errors import ConfigError
    from autoinstrument.debugger.yaml_subset import parse_yaml

    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        content = json.loads(text) if path.endswith(".json") else parse_yaml(text, path)
        section = content.get("agent") or {}
        if not isinstance(section, dict):
            raise ValueError("the section agent is no mapping")
    except Exception as exc:
        return {}, path, [f"ASYNCSCOPE_CONFIG={path!r} is not usable ({exc}); using defaults"]
    try:
        load_debug_config(path)
    except ConfigError as exc:
        return section, path, [f"{exc}; the debugger cannot use this file"]
    return section, path, []
