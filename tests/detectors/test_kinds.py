"""Each kind of finding is made for a program with the fault, and not for its healthy twin."""

from collections.abc import Iterator

import pytest

from autoinstrument.findings import KINDS
from tests.detectors.programs import PROGRAMS, Program, text
from tests.detectors.running import Runs

pytestmark = pytest.mark.slow

each = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.kind)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Start the programs of those tests that were chosen."""
    texts = {}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function):
            program = getattr(item, "callspec", None) and item.callspec.params.get("program")
            if isinstance(program, Program):
                wrong = "fires" in item.name
                name = f"{program.kind}_{'wrong' if wrong else 'right'}"
                texts[name] = text(program.wrong if wrong else program.right)
    started = Runs(tmp_path_factory.mktemp("programs"), texts)
    yield started
    started.close()


def test_there_is_a_program_for_every_kind() -> None:
    assert [program.kind for program in PROGRAMS] == list(KINDS)


@each
def test_fault_fires_once_at_its_line(runs: Runs, program: Program) -> None:
    outcome = runs.outcome(f"{program.kind}_wrong")
    assert outcome.child.status == 0, outcome.child.err
    finding = outcome.one(program.kind)
    assert finding["location"] == {
        "file": str(outcome.path),
        "line": program.line,
        "function": program.function,
    }
    assert finding["count"] >= 1
    assert len(finding["message"]) > 40
    assert len(finding["remedy"]) > 20
    assert f"{program.kind}" in outcome.child.err


@each
def test_twin_is_silent(runs: Runs, program: Program) -> None:
    outcome = runs.outcome(f"{program.kind}_right")
    assert outcome.child.status == 0, outcome.child.err
    assert outcome.findings == []
    assert "no findings" in outcome.child.err
