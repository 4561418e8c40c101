"""What is said about this process with everything that is exported."""

import os
import socket
import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from autoinstrument import __version__

SCOPE: Final = "asyncscope"


def resource_attributes(environ: Mapping[str, str], instance_id: str) -> dict[str, str | int]:
    """Return the resource, as the SDK's own detectors would with what the user set on top.

    Arguments of the command line are left out: they may hold secrets.
    """
    found: dict[str, str | int] = {
        "service.name": _script_name(),
        "service.instance.id": instance_id or _random_uuid(),
        "process.pid": os.getpid(),
        "process.executable.path": sys.executable or "",
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": sys.version.split()[0],
        "process.runtime.description": sys.version,
        "host.name": socket.gethostname(),
        "os.type": _os_type(),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": SCOPE,
        "telemetry.sdk.version": __version__,
        "telemetry.distro.name": SCOPE,
        "telemetry.distro.version": __version__,
    }
    if hasattr(os, "getppid"):
        found["process.parent_pid"] = os.getppid()
    found.update(_from_environment(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        found["service.name"] = name
    return found


def _random_uuid() -> str:
    """Return a random UUID (version 4), without a module that takes milliseconds to load."""
    number = int.from_bytes(os.urandom(16), "big") & ~(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


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
