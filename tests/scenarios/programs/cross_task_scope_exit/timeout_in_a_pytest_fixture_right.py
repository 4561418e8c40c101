"""The fixture hands out a function; the deadline begins and ends in the test."""
# healthy
# requires: pytest, pytest-asyncio>=1
import asyncio
import contextlib
import io
import os
import sys

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def deadline():
    async with asyncio.timeout(1):
        await asyncio.sleep(0.001)
    yield lambda: asyncio.timeout(0.1)
    async with asyncio.timeout(1):
        await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_is_quick(deadline):
    with pytest.raises(TimeoutError):
        async with deadline():
            await asyncio.sleep(0.3)


if __name__ == "__main__":
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main([__file__, "-q", "-c", os.devnull, "-p", "no:cacheprovider"])
    print("passed:", "1 passed" in output.getvalue())
    sys.exit(int(code))
