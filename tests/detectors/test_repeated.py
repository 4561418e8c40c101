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

async def other():
    async for number in numbers():
        break
    return number

async def main():
    for _ in range(30):
        await first()
        await asyncio.sleep(0)
    for _ in range(20):
        await other()
        await asyncio.create_task(other())
    for _ in range(3):
        await first()
        await other()

asyncio.run(main())
"""


@pytest.mark.slow
def test_generators_abandoned_at_one_place_are_one_finding_each(tmp_path: Path) -> None:
    found = watch(tmp_path, ABANDONED).findings
    assert {finding["kind"] for finding in found} == {"async_generator_not_closed"}
    assert {finding["location"]["line"]: finding["count"] for finding in found} == {9: 33, 13: 43}
