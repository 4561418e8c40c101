"""The collection itself: markers can be read, kinds exist and are covered, twins are there."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from .scenario import TWIN_SUFFIX, Scenario, all_scenarios

FINDINGS = Path(__file__).parents[2] / "docs" / "findings.md"
FAULTY = [scenario for scenario in all_scenarios() if not scenario.healthy]


def documented_kinds() -> set[str]:
    return set(re.findall(r"^## `(\w+)`$", FINDINGS.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_kind_has_two_faulty_programs() -> None:
    counts = Counter(expected.kind for scenario in FAULTY for expected in scenario.expected)
    assert {kind: counts[kind] for kind in documented_kinds() if counts[kind] < 2} == {}


def test_only_documented_kinds_are_expected() -> None:
    kinds = {expected.kind for scenario in FAULTY for expected in scenario.expected}
    assert kinds <= documented_kinds()


@pytest.mark.parametrize("scenario", FAULTY, ids=lambda scenario: scenario.id)
def test_faulty_program_has_a_healthy_twin(scenario: Scenario) -> None:
    twins = {other.path for other in all_scenarios() if other.healthy}
    assert scenario.twin in twins


def test_every_twin_has_its_faulty_program() -> None:
    faulty = {scenario.twin for scenario in FAULTY}
    lonely = [
        scenario.id
        for scenario in all_scenarios()
        if scenario.path.stem.endswith(TWIN_SUFFIX) and scenario.path not in faulty
    ]
    assert lonely == []


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda scenario: scenario.id)
def test_program_has_a_docstring(scenario: Scenario) -> None:
    assert ast.get_docstring(ast.parse(scenario.path.read_text(encoding="utf-8")))
