"""`asyncscope version`: versions of the agent, of Python and of what the agent stands on."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from autoinstrument import __version__

SUMMARY = "Show the versions of asyncscope, Python and the libraries it stands on"
REQUIRED = ("wrapt", "opentelemetry-api", "opentelemetry-sdk")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(options: argparse.Namespace) -> int:
    """Print one line per part."""
    print(f"asyncscope {__version__}")
    print(f"{platform.python_implementation()} {platform.python_version()}")
    for name in REQUIRED:
        print(f"{name} {installed(name) or 'is not installed'}")
    return 0


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or `None`."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
