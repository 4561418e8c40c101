"""A test suite under pytest-asyncio: fixtures with yield, loop scopes, timeouts, servers."""
# healthy
# requires: pytest, pytest-asyncio>=0.25, aiohttp
import asyncio
import contextlib
import io
import os
import sys

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server():
    async def hello(request):
        await asyncio.sleep(0.001)
        return web.json_response({"hello": request.query.get("name")})

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module")
async def client(server):
    async with aiohttp.ClientSession(server) as session:
        yield session


@pytest_asyncio.fixture
async def ticker():
    ticks, task = [], None

    async def tick():
        while True:
            ticks.append(len(ticks))
            await asyncio.sleep(0.001)

    task = asyncio.create_task(tick(), name="ticker")
    yield ticks
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ["anna", "bert", "cleo"])
async def test_server(client, name):
    async with client.get("/", params={"name": name}) as response:
        assert await response.json() == {"hello": name}


@pytest.mark.asyncio
async def test_ticker(ticker):
    await asyncio.sleep(0.02)
    assert len(ticker) > 2


@pytest.mark.asyncio
async def test_timeout():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_group():
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
            group.create_task(fail())


@pytest.mark.asyncio
async def test_gather_collects():
    results = await asyncio.gather(fail(), asyncio.sleep(0.005), return_exceptions=True)
    assert isinstance(results[0], ValueError)


async def fail():
    raise ValueError


if __name__ == "__main__":
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main([__file__, "-q", "-c", os.devnull, "-p", "no:cacheprovider", "--no-header"])
    print("passed:", "7 passed" in output.getvalue())
    sys.exit(int(code))
