"""Whole trees of real programs: hooks, trackers, exporter, a socket, the official schema."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.export.receiver import Received, attributes_of, http_receiver
from tests.helpers import ROOT, child_environment, run_child

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
    (main,) = received.tree()
    hold: Any = ("lock hold", [])
    wait: Any = ("lock wait", [])
    assert main == ("main", [("hung", [hold, wait]), ("user", [hold]), ("user", [wait])])
    holds = [attributes_of(span.attributes) for span in received.spans if span.name == "lock hold"]
    assert [found["asyncscope.lock.waiters"] for found in holds] == [1, 1]
    assert sorted(found.get("asyncscope.unfinished", False) for found in holds) == [False, True]
    assert {found["code.file.path"] for found in holds} == {str(tmp_path / "program.py")}
    found = attributes(received, "hung")
    assert found["asyncscope.unfinished"] is True
    assert found["asyncscope.task.parked_at"].startswith(str(tmp_path / "program.py") + ":")


def test_sessions_of_an_sdk_hang_below_the_tasks_that_opened_them(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    received = run(
        tmp_path,
        """
        from mcp.server.lowlevel import Server
        from mcp.shared.memory import create_connected_server_and_client_session as connected

        async def client():
            async with connected(Server("x")) as session:
                await asyncio.sleep(0.01)

        async def main():
            await asyncio.create_task(client())

        asyncio.run(main())
        """,
    )
    spans = {(span.trace_id, span.span_id): span for span in received.spans}
    sessions = {
        attributes_of(span.attributes)["asyncscope.session.name"]: span
        for span in received.spans
        if span.name == "mcp session"
    }
    assert sorted(sessions) == ["mcp.ClientSession", "mcp.ServerSession"]
    own, server = sessions["mcp.ClientSession"], sessions["mcp.ServerSession"]
    assert spans[own.trace_id, own.parent_span_id].name == "client"
    assert spans[server.trace_id, server.parent_span_id].name == "Server.run"
    found = attributes_of(own.attributes)
    assert "asyncscope.unfinished" not in found
    assert found["code.file.path"] == str(tmp_path / "program.py")
    assert own.end_time_unix_nano - own.start_time_unix_nano >= 10_000_000


def test_tasks_of_two_loops_name_their_threads(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        import threading

        async def child(seen):
            seen.append(threading.get_ident())

        loops = []  # kept, so that none has the identity of an earlier one

        async def main(seen):
            loops.append(asyncio.get_running_loop())
            await asyncio.create_task(child(seen), name=str(threading.get_ident()))

        def work(seen):
            asyncio.run(main(seen))

        ready = threading.Barrier(3)

        def worker():
            ready.wait()
            work([])
            ready.wait()

        threads = [threading.Thread(target=worker) for _ in range(2)]
        for thread in threads:
            thread.start()
        ready.wait()
        ready.wait()
        work([])
        """,
    )
    children = [attributes_of(s.attributes) for s in received.spans if s.name == "child"]
    assert [found["asyncscope.task.name"] for found in children] == [
        str(found["thread.id"]) for found in children
    ]
    assert len({found["thread.id"] for found in children}) == 3
    mains = [attributes_of(s.attributes) for s in received.spans if s.name == "main"]
    assert {found["thread.id"] for found in mains} == {found["thread.id"] for found in children}


HUNG = """
import asyncio, sys

async def stuck():
    await asyncio.get_running_loop().create_future()

async def main():
    task = asyncio.create_task(stuck(), name="stuck")
    await asyncio.sleep(0)
    print("ready", flush=True)
    await task

asyncio.run(main())
"""


def hung(tmp_path: Path, url: str, **env: str) -> "subprocess.Popen[str]":
    path = tmp_path / "program.py"
    path.write_text(HUNG)
    environ = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_QUIET": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_METRICS_EXPORTER": "none",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, path],
        env=child_environment(environ | env),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_sigterm_leaves_open_work_behind_where_asked(tmp_path: Path) -> None:
    with (
        http_receiver() as (url, received),
        hung(tmp_path, url, ASYNCSCOPE_FINISH_ON_SIGTERM="1") as process,
    ):
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert received.tree() == [("main", [("stuck", [])])]
    assert all(attributes_of(s.attributes)["asyncscope.unfinished"] for s in received.spans)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_sigterm_ends_at_once_otherwise(tmp_path: Path) -> None:
    with http_receiver() as (url, received), hung(tmp_path, url) as process:
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert received.spans == []


def test_hang_shows_before_the_program_is_killed(tmp_path: Path) -> None:
    with (
        http_receiver() as (url, received),
        hung(tmp_path, url, ASYNCSCOPE_LONG_OPEN_S="0.1") as process,
    ):
        until = time.monotonic() + 30
        while len(received.logs) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    found = {attributes_of(log.attributes)["asyncscope.task.name"] for log in received.logs}
    assert found == {"Task-1", "stuck"}
    assert {log.event_name for log in received.logs} == {"asyncscope.task.long_open"}
    places = [attributes_of(log.attributes)["asyncscope.task.parked_at"] for log in received.logs]
    assert all(place.startswith(str(tmp_path / "program.py")) for place in places)


LOADED = """
import atexit, sys

def tell(when):
    print(when, *sorted(sys.modules))

atexit.register(tell, "after")
import asyncio

async def main():
    await asyncio.sleep(0)

asyncio.run(main())
tell("before")
"""


def test_exporting_json_loads_no_sdk_and_nothing_before_it_exports(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(LOADED)
    with http_receiver() as (url, received):
        env = {"ASYNCSCOPE_ENABLE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        child = run_child(path, env=env)
    assert child.status == 0, child.err
    loaded = {line.split()[0]: set(line.split()[1:]) for line in child.out.splitlines()}
    assert [span.name for span in received.spans] == ["main"]
    unwanted = ("opentelemetry.sdk", "opentelemetry.trace", "urllib3", "requests")
    assert not [name for name in loaded["after"] if name.startswith(unwanted)]
    later = {"http.client", "email", "autoinstrument.export.exporters"}
    assert later <= loaded["after"]
    assert not later & loaded["before"]
