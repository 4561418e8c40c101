"""Forks, threads, other Pythons and exec: the agent's thread is never in the way."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstrument.export.recording import read_recording
from tests.helpers import SCRIPTS, child_environment, run_child
from tests.robustness import backends
from tests.robustness.watched import both, others, said, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

# With warnings as errors: Python 3.12 and newer warn of a fork in a process with threads.
FORKS_IN_A_RUNNING_LOOP = """
import asyncio, os, sys, threading, warnings
warnings.simplefilter("error")

async def work():
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))

async def main():
    for step in range(4):
        await asyncio.sleep(0.35)
        await work()
        pid = os.fork()
        if not pid:
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), threading.active_count())
    await work()

asyncio.run(main())
pid = os.fork()
if not pid:
    asyncio.run(work())
    print("child", threading.active_count(), flush=True)
    sys.exit(3)
print("parent", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("exporter", ["none", "otlp", "file"])
def test_forks_warn_of_nothing_whatever_is_exported(tmp_path: Path, exporter: str) -> None:
    with backends.backend(backends.sound) as url:
        env = {
            "ASYNCSCOPE_EXPORTER": exporter,
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "ASYNCSCOPE_RECORD": str(tmp_path / "run.jsonl"),
        }
        plain, child = both(tmp_path, FORKS_IN_A_RUNNING_LOOP, env)
    assert plain.status == 0
    assert (child.status, child.out) == (plain.status, plain.out)
    assert others(child.err) == []
    assert [line for line in said(child.err) if "failed" in line or "dropped" in line] == []
    assert read_recording(tmp_path / "run.jsonl").ended
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["process"]["pid"] == child.pid


THREADS = """
import os, sys, threading
def count():
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
    return threading.active_count(), len(threading.enumerate()), threads
print("before asyncio", count())
import asyncio
print("before a loop", count())
async def main():
    await asyncio.sleep(0.1)
    return count()[:2]
print("in a loop", asyncio.run(main()))
"""


def test_there_is_no_thread_before_the_first_loop_and_none_to_be_counted(tmp_path: Path) -> None:
    plain, child = both(tmp_path, THREADS)
    assert child.out == plain.out
    assert "before a loop (1, 1, 1)" in child.out or not os.path.isdir("/proc/self/task")


POOL = """
import asyncio, concurrent.futures, multiprocessing, os, sys, warnings

async def work(n):
    async with asyncio.timeout(30), asyncio.Lock():
        await asyncio.sleep(0)
    return n

def run(n):
    return asyncio.run(work(n))

async def main(method):
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, run, n) for n in range(6)))

if __name__ == "__main__":
    warnings.filterwarnings("error", message="This process .* is multi-threaded")
    print(asyncio.run(main(sys.argv[1])))
"""


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_process_pool_of_a_running_loop(tmp_path: Path, method: str) -> None:
    """The pool's own threads make Python warn of `fork`, with the agent and without."""
    path = write(tmp_path, POOL)
    plain = run_child(path, method, cwd=tmp_path)
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_REPORT": str(tmp_path / "report.json"),
        "ASYNCSCOPE_DETECT": "-event_loop_blocked",  # starting a pool takes a while
    }
    child = run_child(path, method, env=env, cwd=tmp_path)
    assert (child.status, child.out) == (plain.status, plain.out)
    assert others(child.err) == others(plain.err)
    reports = [json.loads(found.read_text()) for found in tmp_path.glob("report.json.*.json")]
    assert sum(report["statistics"]["loops"]["seen"] for report in reports) >= 6


def other_pythons() -> list[str]:
    """Return Pythons of other versions that are here, without asyncscope."""
    found = []
    for version in ("2.7", "3.6", "3.8", "3.10", "3.12", "3.13"):
        names = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = str(names[-1]) if names else shutil.which(f"python{version}")
        if path and version != f"{sys.version_info.major}.{sys.version_info.minor}":
            found.append(path)
    return found


PYTHONS = other_pythons() or [""]


@pytest.mark.heavy
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: "-".join(Path(path).parts[-3:-2]))
@pytest.mark.parametrize("how", ["variable", "command"])
def test_subprocess_of_another_python_runs_as_ever(tmp_path: Path, python: str, how: str) -> None:
    if not python:
        pytest.skip("no other Python is installed")
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    parent = write(
        tmp_path,
        "import asyncio, subprocess, sys\nasyncio.run(asyncio.sleep(0))\n"
        f"done = subprocess.run([{python!r}, '-c', {code!r}], capture_output=True, text=True)\n"
        "print(done.returncode, done.stdout, done.stderr)\n",
    )
    plain = run_child(parent, cwd=tmp_path)
    if how == "variable":
        child = run_child(parent, env={"ASYNCSCOPE_ENABLE": "1"}, cwd=tmp_path)
    else:
        command = SCRIPTS / "asyncscope-instrument"
        child = run_child(command, sys.executable, parent, cwd=tmp_path, python="")
    assert (child.status, child.out) == (plain.status, plain.out)
    assert child.out.startswith("0 ")


EXECS = """
import asyncio, os, sys
async def main():
    await asyncio.sleep(0.1)
    if len(sys.argv) == 1:
        print("first", flush=True)
        os.execv(sys.executable, [sys.executable, __file__, "again"])
    print("second", flush=True)
asyncio.run(main())
"""


def test_exec_from_a_running_loop(tmp_path: Path) -> None:
    plain, child = both(tmp_path, EXECS, {"ASYNCSCOPE_RECORD": str(tmp_path / "run.jsonl")})
    assert (child.status, child.out) == (plain.status, plain.out) == (0, "first\nsecond\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["process"]["pid"] == child.pid
    assert report["process"]["argv"][1:] == ["again"]
    assert read_recording(tmp_path / "run.jsonl").ended


DAEMON = """
import asyncio, os, sys, time
asyncio.run(asyncio.sleep(0))
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 3)
for number in range(3): os.open(os.devnull, os.O_RDWR)
os.chdir("/")
async def main():
    await asyncio.sleep(1.2)
asyncio.run(main())
open(sys.argv[1], "w").write(str(os.getpid()))
"""


def test_daemon_that_forks_twice_and_closes_everything(tmp_path: Path) -> None:
    path, done = write(tmp_path, DAEMON), tmp_path / "done"
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_REPORT": "report.json",
        "ASYNCSCOPE_RECORD": "run.jsonl",
    }
    subprocess.run(
        [sys.executable, path, done], env=child_environment(env), cwd=tmp_path, check=True
    )
    found: list[Path] = []
    for _ in range(600):
        found = list(tmp_path.glob("report.json.*.json"))
        if found:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    (report,) = [json.loads(item.read_text()) for item in found]
    assert report["process"]["pid"] == int(done.read_text())
    (recording,) = tmp_path.glob(f"run.jsonl.{done.read_text()}.json")
    assert read_recording(recording).ended
