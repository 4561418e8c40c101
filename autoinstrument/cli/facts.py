"""What `asyncscope doctor` asks a Python: runs there, and prints one line of JSON.

Imported in a child process in which the start-up line had its chance to run.
"""

import contextlib
import json
import os
import site
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import autoinstrument
from autoinstrument.cli.access import HOOK_FILE, hook_file

LIBRARIES: Final = ("anyio", "trio", "uvloop", "mcp", "claude_agent_sdk")
"""Libraries with hooks of their own; they are imported to see their hooks at work."""

EXTRAS: Final = {
    "debug": ("debugpy",),
    "otlp": ("opentelemetry-exporter-otlp-json-http", "opentelemetry-exporter-otlp-proto-http"),
    "grpc": ("opentelemetry-exporter-otlp-proto-grpc",),
    "uvloop": ("uvloop",),
}
"""Extra to the distributions, one of which makes it work."""

OTHER_AGENTS: Final = {
    "ddtrace": "ddtrace",
    "elastic-apm": "elasticapm",
    "logfire": "logfire",
    "newrelic": "newrelic",
    "opentelemetry-instrumentation": "opentelemetry.instrumentation",
    "scout-apm": "scout_apm",
    "sentry-sdk": "sentry_sdk",
}
"""Distribution to module of others who patch asyncio or its libraries."""


def main(was_loaded: frozenset[str]) -> None:
    """Print all facts; `was_loaded` are the modules that were there after start-up."""
    with contextlib.redirect_stdout(sys.stderr):  # what the libraries print
        facts = collect(was_loaded)
    print(json.dumps(facts))


def collect(was_loaded: frozenset[str]) -> dict[str, Any]:
    """Return what is installed, what ran at start-up and what the agent says of itself."""
    import_module("asyncio")
    libraries = {name: _imported(name) for name in LIBRARIES}
    from autoinstrument import agent, env  # the agent needs asyncio

    hooked = "autoinstrument._boot" in was_loaded
    if not hooked:
        agent.install()  # to tell what it would do
    return {
        "version": autoinstrument.__version__,
        "package": os.path.dirname(autoinstrument.__file__),
        "environment": env.facts(),
        "hook_file": hook_file(),
        "hooked": hooked,
        "libraries": libraries,
        "status": agent.status(),
        "extras": {extra: _first_installed(names) for extra, names in EXTRAS.items()},
        "others": list(_others(was_loaded)),
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _first_installed(distributions: tuple[str, ...]) -> str | None:
    for name in distributions:
        if found := _version(name):
            return f"{name} {found}"
    return None


def _imported(name: str) -> str | None:
    """Import a library; return its version or its error, `None` if it is not installed."""
    if find_spec(name) is None:
        return None
    try:
        import_module(name)
    except Exception as exc:  # a broken library is a fact like any other
        return f"cannot be imported ({type(exc).__name__}: {exc})"
    return _version(name.replace("_", "-")) or "of unknown version"


def _others(was_loaded: frozenset[str]) -> Iterator[str]:
    """Yield a line for everybody else who acts at start-up or patches what we patch."""
    for distribution, module in OTHER_AGENTS.items():
        if found := _version(distribution):
            loaded = "loaded at start-up" if module in was_loaded else "installed, not loaded"
            yield f"{distribution} {found}: {loaded}"
    for name in ("sitecustomize", "usercustomize"):
        if file := getattr(sys.modules.get(name), "__file__", None):
            yield f"{name}: {file}"
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    for folder in sorted(folders):
        for path in sorted(Path(folder).glob("*.pth")):
            if path.name != HOOK_FILE and _has_code(path):
                yield f"start-up line: {path}"


def _has_code(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith(("import ", "import\t")) for line in text.splitlines())
