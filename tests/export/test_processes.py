"""One trace over several processes: what children of a task send hangs below it."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.export.receiver import Received, decode_json, http_receiver
from tests.helpers import ROOT, run_child

pytestmark = pytest.mark.slow


def run(tmp_path: Path, program: str, exporter: str = "file") -> Received:
    """Run a program under asyncscope as a user does; return what it and its children sent."""
    path = tmp_path / "program.py"
    path.write_text("import asyncio, os, sys\n" + textwrap.dedent(program))
    spans = tmp_path / "spans.jsonl"
    with http_receiver() as (url, received):
        environ = {
            "ASYNCSCOPE_ENABLE": "1",
            "ASYNCSCOPE_QUIET": "1",
            "ASYNCSCOPE_BLOCK_MS": "100000",  # waiting for a child blocks the loop
            "ASYNCSCOPE_EXPORTER": exporter,
            "ASYNCSCOPE_FILE": str(spans),
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_METRICS_EXPORTER": "none",
            "PYTHONPATH": str(ROOT),
        }
        child = run_child(path, env=environ)
        assert (child.status, child.err) == (0, "")
    if exporter == "file":
        for line in spans.read_text().splitlines():
            received.take("traces", decode_json("traces", line))
    return received


ONE_TRACE: list[Any] = [("main", [("work", [])])]


def one_trace(received: Received) -> None:
    received.spans = [span for span in received.spans if "." not in span.name]  # asyncio's own
    assert received.tree() == ONE_TRACE
    instances = {resource["service.instance.id"] for resource in received.resources}
    pids = {resource["process.pid"] for resource in received.resources}
    assert len(instances) == len(pids) == 2
    (work,) = [span for span in received.spans if span.name == "work"]
    assert work.flags == 0x301  # the parent is known to be remote


CHILD = "import asyncio; exec('async def work(): pass'); asyncio.run(work())"


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, '-c', CHILD], check=True)",
        "await (await asyncio.create_subprocess_exec(sys.executable, '-c', CHILD)).wait()",
        "subprocess.run([sys.executable, '-c', CHILD], env={**os.environ}, check=True)",
    ],
    ids=["subprocess", "asyncio", "given environment"],
)
def test_child_process(tmp_path: Path, start: str) -> None:
    received = run(
        tmp_path,
        f"""
        import subprocess
        CHILD = {CHILD!r}

        async def main():
            before = dict(os.environ)
            {start}
            assert dict(os.environ) == before

        asyncio.run(main())
        """,
    )
    one_trace(received)


def test_child_of_another_kind_is_not_told(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import subprocess

        async def main():
            answer = subprocess.run(["env"], capture_output=True, text=True, check=True)
            assert "TRACEPARENT" not in answer.stdout

        asyncio.run(main())
        """,
    )


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_child_of_multiprocessing(tmp_path: Path, method: str) -> None:
    received = run(
        tmp_path,
        f"""
        import multiprocessing

        async def work():
            pass

        def child():
            asyncio.run(work())

        async def main():
            process = multiprocessing.get_context({method!r}).Process(target=child)
            process.start()
            await asyncio.to_thread(process.join)
            assert process.exitcode == 0

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    one_trace(received)


def test_forked_child_sends_its_own_work_only(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        import threading

        async def work():
            pass

        async def other():
            await asyncio.sleep(0.01)

        async def main():
            task = asyncio.create_task(other())
            await asyncio.sleep(1.2)  # the exporter runs by now
            pid = os.fork()
            if not pid:
                thread = threading.Thread(target=asyncio.run, args=(work(),))
                thread.start()
                thread.join()
                sys.exit()
            assert os.waitpid(pid, 0)[1] == 0

        asyncio.run(main())
        """,
        exporter="otlp",
    )
    assert received.tree() == [("main", [("other", []), ("work", [])])]
    assert len({resource["service.instance.id"] for resource in received.resources}) == 2


def test_parent_goes_on_sending_after_a_fork(tmp_path: Path) -> None:
    received = run(
        tmp_path,
        """
        async def late():
            await asyncio.sleep(1.2)

        async def main():
            await asyncio.sleep(1.2)
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
            await asyncio.create_task(late())

        asyncio.run(main())
        """,
        exporter="otlp",
    )
    assert received.tree() == [("main", [("late", [])])]
