"""Whole trees of real programs: hooks, trackers, exporter, a socket, the official schema."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.export.receiver import Received, attributes_of, http_receiver
from tests.helpers import ROOT, run_child

pytestmark = pytest.mark.slow

START = """
import asyncio, os, sys
from autoinstrument.agent import install
from autoinstrument.export.batch import ExportSettings
from autoinstrument.export.collect import Collector
from autoinstrument.export.exporters import make_exporters

agent = install()
collector = Collector(agent.world)
(exporter,) = make_exporters(ExportSettings(exporters=("otlp",)), os.environ, sys.exit)
"""

END = """
exporter.finish(collector.batch(), collector.unfinished(), 2.0)
"""


def run(tmp_path: Path, program: str) -> Received:
    path = tmp_path / "program.py"
    path.write_text(START + textwrap.dedent(program) + END)
    with http_receiver() as (url, received):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "ASYNCSCOPE_QUIET": "1", "PYTHONPATH": str(ROOT)}
        child = run_child("-W", "error", path, env=env)
        assert (child.status, child.err) == (0, "")
    return received


def attributes(received: Received, name: str) -> dict[str, Any]:
    (span,) = [span for span in received.spans if span.name == name]
    return attributes_of(span.attributes)


def test_group_of_tasks_below_a_timeout(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        async def fetch(n):
            await asyncio.sleep(0.001)

        async def main():
            async with asyncio.timeout(5):
                async with asyncio.TaskGroup() as group:
                    for n in range(3):
                        group.create_task(fetch(n), name=f"fetch {n}")

        asyncio.run(main())
        """,
    )
    scopes: Any = ("asyncio.timeout", [("asyncio.TaskGroup", [])])
    assert received.tree() == [("main", [scopes, *[("fetch", [])] * 3])]
    found = attributes(received, "main")
    assert found["asyncscope.task.outcome"] == "returned"
    assert found["code.function.name"] == "__main__.main"
    assert found["code.file.path"] == str(tmp_path / "program.py")
    assert attributes(received, "asyncio.timeout")["code.line.number"] > 10


def test_task_left_behind_by_a_handler(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        async def background():
            await asyncio.sleep(0.05)

        async def handler():
            return asyncio.create_task(background())

        async def main():
            task = await asyncio.create_task(handler())
            await task

        asyncio.run(main())
        """,
    )
    assert received.tree() in (
        [("background", []), ("main", [("handler", [])])],
        [("main", [("handler", [("background", [])])])],  # 3.11 may not see when handler ended
    )


def test_failed_and_cancelled_tasks(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        async def broken():
            raise ValueError("secret")

        async def sleeper():
            await asyncio.sleep(10)

        async def main():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(sleeper())
                    group.create_task(broken())
            except* ValueError:
                pass

        asyncio.run(main())
        """,
    )
    (broken,) = [span for span in received.spans if span.name == "broken"]
    (sleeper,) = [span for span in received.spans if span.name == "sleeper"]
    assert (broken.status.code, broken.status.message) == (2, "ValueError")
    assert sleeper.status.code == 0
    assert attributes_of(sleeper.attributes)["asyncscope.task.outcome"] == "cancelled"
    assert "secret" not in str(received.spans)


def test_contended_lock_and_hung_task(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        async def user(lock):
            async with lock:
                await asyncio.sleep(0.01)

        async def hung(lock):
            await lock.acquire()
            await lock.acquire()

        async def main():
            lock = asyncio.Lock()
            await asyncio.gather(user(lock), user(lock))
            global task
            task = asyncio.create_task(hung(lock))
            await asyncio.sleep(0.01)
            exporter.finish(collector.batch(), collector.unfinished(), 2.0)
            os._exit(0)

        asyncio.run(main())
        """,
    )
    names = sorted(span.name for span in received.spans)
    assert names == ["hung", "lock wait", "lock wait", "main", "user", "user"]
    (main,) = received.tree()
    assert main == (
        "main",
        [("hung", [("lock wait", [])]), ("user", []), ("user", [("lock wait", [])])],
    )
    found = attributes(received, "hung")
    assert found["asyncscope.unfinished"] is True
    assert found["asyncscope.task.parked_at"].startswith(str(tmp_path / "program.py") + ":")
