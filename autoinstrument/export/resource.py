"""What is said about this process with everything that is exported."""

import os
import platform
import socket
import sys
import uuid
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Final
from urllib.parse import unquote

SCOPE: Final = "asyncscope"


@cache
def version() -> str:
    """Return the installed version of asyncscope; finding it out takes half a millisecond."""
    try:
        return metadata.version("asyncscope")
    except metadata.PackageNotFoundError:
        return "0"


def resource_attributes(environ: Mapping[str, str], instance_id: str) -> dict[str, str | int]:
    """Return the resource, as the SDK's own detectors would with what the user set on top.

    Arguments of the command line are left out: they may hold secrets.
    """
    found: dict[str, str | int] = {
        "service.name": _script_name(),
        "service.instance.id": instance_id or str(uuid.uuid4()),
        "process.pid": os.getpid(),
        "process.executable.path": sys.executable or "",
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        "process.runtime.description": sys.version,
        "host.name": socket.gethostname(),
        "os.type": _os_type(),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": SCOPE,
        "telemetry.sdk.version": version(),
        "telemetry.distro.name": SCOPE,
        "telemetry.distro.version": version(),
    }
    if hasattr(os, "getppid"):
        found["process.parent_pid"] = os.getppid()
    found.update(_from_environment(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        found["service.name"] = name
    return found


def _from_environment(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values; a part without `=` is skipped."""
    found = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if equals and key.strip():
            found[key.strip()] = unquote(value.strip())
    return found


def _script_name() -> str:
    arguments = sys.orig_argv
    if "-m" in arguments[:-1]:
        return arguments[arguments.index("-m") + 1].split(".", 1)[0]
    script = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    if script in {"", "-c"}:
        return "unknown_service:python"
    return script.removesuffix(".py")


def _os_type() -> str:
    return {"win32": "windows", "cygwin": "windows"}.get(sys.platform, sys.platform)
