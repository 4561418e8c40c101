"""A pytest-asyncio fixture yields inside asyncio.timeout(); the test never gets its deadline."""
# requires: pytest, pytest-asyncio>=1
# mention: deadline
import asyncio
import contextlib
import io
import os
import sys

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def deadline():
    async with asyncio.timeout(0.1) as limit:  # expect: cross_task_scope_exit
        yield limit  # expect: cross_task_scope_exit


@pytest.mark.asyncio
async def test_is_quick(deadline):
    await asyncio.sleep(0.3)


if __name__ == "__main__":
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main([__file__, "-q", "-c", os.devnull, "-p", "no:cacheprovider"])
    print("slow test passed:", "1 passed" in output.getvalue())
    sys.exit(int(code))
