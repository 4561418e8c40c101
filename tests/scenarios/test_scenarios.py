"""Every program behaves the same under the agent, faults are explained, healthy ones are silent."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from .environment import reason_to_skip
from .running import Outcome, measure
from .scenario import Scenario, all_scenarios

JOBS = 2


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """Run all selected scenarios, some at a time; a test waits for its own."""
    selected = [
        callspec.params["scenario"]
        for item in request.session.items
        if (callspec := getattr(item, "callspec", None)) and item.path == request.path
    ]
    pool = ThreadPoolExecutor(JOBS, thread_name_prefix="scenario")
    try:
        yield {
            scenario.id: pool.submit(measure, scenario)
            for scenario in selected
            if reason_to_skip(scenario) is None
        }
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda scenario: scenario.id)
def test_scenario_is_judged_rightly(
    scenario: Scenario, outcomes: dict[str, Future[Outcome]]
) -> None:
    if reason := reason_to_skip(scenario):
        pytest.skip(reason)
    outcome = outcomes[scenario.id].result()
    assert not outcome.faults(), outcome.watched.stderr[-2000:]
