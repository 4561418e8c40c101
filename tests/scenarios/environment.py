"""Which scenarios make sense with the running Python and the installed libraries."""

import importlib.metadata
import sys

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .scenario import Scenario

_PYTHON = ".".join(map(str, sys.version_info[:3]))


def is_healthy_here(scenario: Scenario) -> bool:
    """Tell whether the program is right with this Python."""
    return scenario.healthy or (
        bool(scenario.healthy_on) and SpecifierSet(scenario.healthy_on).contains(_PYTHON)
    )


def reason_to_skip(scenario: Scenario) -> str | None:
    """Say what is missing for a scenario, or None if it can be run."""
    if not SpecifierSet(scenario.python).contains(_PYTHON, prereleases=True):
        return f"needs Python {scenario.python}"
    for text in scenario.requires:
        requirement = Requirement(text)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            return f"{requirement.name} is not installed"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"needs {requirement}, not {version}"
    return None
