"""The same fault again at the same place: one finding that counts, without words made anew."""

from pathlib import Path

import pytest

from tests.detectors.running import watch

ABANDONED = """
import asyncio

async def numbers():
    yield 1
    yield 2

async def first():
    async for number in numbers():
        return number

async def main():
    for _ in range(30):
        await first()
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.slow
def test_generators_abandoned_at_one_place_are_one_finding(tmp_path: Path) -> None:
    outcome = watch(tmp_path, ABANDONED)
    finding = outcome.one("async_generator_not_closed")
    assert finding["count"] == 30
    assert finding["location"]["line"] == 9
