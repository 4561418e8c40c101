"""A short soak; `python -m tests.robustness.soak` is the long one."""

import pytest

from tests.robustness.soak import problems, soak


@pytest.mark.slow
def test_memory_is_flat_and_nothing_is_kept_alive() -> None:
    facts = soak(10_000, exporter="none", memory_mb=1)
    assert problems(facts, base_mb=48, memory_mb=1) == []
    assert facts["collections"] <= 1  # before the work began
    assert len(facts["rss_mb"]) == 10


def test_growth_excess_and_leftovers_are_named() -> None:
    flat = [40.0] * 10
    assert problems({"rss_mb": flat, "left": {"tasks": 0}}) == []
    assert problems({"rss_mb": [40.0 + 2 * n for n in range(10)], "left": {}})[0].startswith(
        "memory grew"
    )
    assert problems({"rss_mb": [200.0] * 10, "left": {}})[0].startswith("memory above")
    assert problems({"rss_mb": flat, "left": {"tasks": 3}}) == ["3 tasks were kept alive"]
