"""Detectors: one file for each kind of finding; each has `KIND` and `attach(world)`.

A detector looks at records at one of three moments: inside the faulty call, when something
ends, or on the agent's tick and at exit. It reports findings and changes no record.
"""

from importlib import import_module

from autoinstrument.findings import KINDS
from autoinstrument.world import World


def attach_all(world: World, kinds: frozenset[str]) -> None:
    """Attach the detectors of the chosen kinds."""
    for kind in KINDS:
        if kind in kinds:
            import_module(f"autoinstrument.detectors.{kind}").attach(world)
