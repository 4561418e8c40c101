"""The report that a process leaves behind: what is in it, and where it is."""

import datetime
import json
import os
import platform
import stat
import sys
from pathlib import Path

import pytest

from tests.agent.conftest import Watch
from tests.helpers import run_child

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio

lock = asyncio.Lock()

async def worker():
    await lock.acquire()

async def main():
    await asyncio.create_task(worker(), name="naïve \\u2603")

asyncio.run(main())
"""
STATISTICS = {
    "tasks": {"created", "ended", "active", "cancelled", "failed", "thread_hops"},
    "scopes": {"entered", "left", "open", "cancelled", "expired"},
    "locks": {"acquired", "released", "waits", "waiting", "seen"},
    "generators": {"started", "ended", "open", "abandoned"},
    "loops": {"seen", "running", "closed", "errors", "blocked"},
    "dropped": {"findings"},
}


def test_report_has_exactly_these_keys(watch: Watch) -> None:
    run = watch(PROGRAM)
    report = run.report
    assert list(report) == ["version", "process", "findings", "statistics"]
    assert report["version"] == 1
    assert list(report["process"]) == ["pid", "python", "argv", "started", "ended"]
    (finding,) = report["findings"]
    assert set(finding) == {
        *("kind", "message", "remedy", "severity", "possible", "count", "first_seen"),
        *("task", "location", "related", "stack"),
    }
    assert set(finding["location"]) == {"file", "line", "function"}
    for place in finding["stack"]:
        assert set(place) == {"file", "line", "function"}
    for place in finding["related"]:
        assert set(place) == {"role", "file", "line", "function", "task"}
    assert {name: set(group) for name, group in report["statistics"].items()} == STATISTICS


def test_report_tells_the_truth(watch: Watch) -> None:
    run = watch(PROGRAM)
    report, path = run.report, str(run.folder / "program.py")
    process, (finding,) = report["process"], report["findings"]
    assert process["pid"] == run.child.pid
    assert process["python"] == platform.python_version()
    assert process["argv"] == [path]
    assert finding["kind"] == "lock_held_at_task_end"
    assert finding["severity"] in {"error", "warning"}
    assert finding["count"] == 1
    assert finding["possible"] is False
    assert finding["task"] == "naïve \u2603"
    assert finding["location"] == {"file": path, "line": 7, "function": "worker"}
    assert finding["stack"][0] == finding["location"]
    assert "naïve \u2603" in finding["message"]
    assert report["statistics"]["tasks"]["created"] == 4  # two are asyncio.run()'s own
    assert report["statistics"]["tasks"]["ended"] == 4
    assert report["statistics"]["locks"]["acquired"] == 1


def test_times_are_rfc_3339_in_utc_and_in_order(watch: Watch) -> None:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(milliseconds=1)
    report = watch(PROGRAM).report
    texts = [
        report["process"]["started"],
        report["findings"][0]["first_seen"],
        report["process"]["ended"],
    ]
    assert all(text.endswith("Z") for text in texts)
    times = [datetime.datetime.fromisoformat(text) for text in texts]
    all_times = [before, *times, datetime.datetime.now(datetime.UTC)]
    assert all_times == sorted(all_times)


def test_arguments_are_not_recorded(watch: Watch) -> None:
    code = "import sys; sys.argv.append('--password=hunter2')\n" + PROGRAM
    run = watch(code)
    assert "hunter2" not in json.dumps(run.report)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_report_is_its_owners_alone(watch: Watch) -> None:
    run = watch(PROGRAM)
    mode = stat.S_IMODE((run.folder / "report.json").stat().st_mode)
    assert mode == 0o600
    assert sorted(path.name for path in run.folder.iterdir()) == ["program.py", "report.json"]


def test_report_is_written_without_any_loop(watch: Watch) -> None:
    run = watch("import asyncio\n")
    assert run.report["findings"] == []
    assert run.report["statistics"]["loops"]["seen"] == 0


def test_no_report_without_asyncio(watch: Watch) -> None:
    run = watch("print(1)\n")
    assert (run.child.status, run.child.out, run.child.err) == (0, "1\n", "")
    assert not (run.folder / "report.json").exists()


def test_relative_path_belongs_to_the_folder_at_the_start(watch: Watch) -> None:
    """A program that changes its folder does not take the report with it."""
    run = watch(
        "import os, tempfile\n" + PROGRAM + "os.chdir(tempfile.gettempdir())\n",
        {"ASYNCSCOPE_REPORT": "report.json"},
    )
    assert run.kinds == ["lock_held_at_task_end"]


def test_counters_are_written(watch: Watch, tmp_path: Path) -> None:
    watch(PROGRAM, {"ASYNCSCOPE_STATS_FILE": str(tmp_path / "stats.json")})
    counters = json.loads((tmp_path / "stats.json").read_text())
    assert counters["create"] == counters["done"] == counters["tasks_created"] == 4
    assert counters["events"] > 4
    assert all(isinstance(value, int) for value in counters.values())


@pytest.mark.parametrize("variable", ["ASYNCSCOPE_REPORT", "ASYNCSCOPE_STATS_FILE"])
@pytest.mark.parametrize("path", ["missing/folder/x.json", "program.py/x.json", "."])
def test_path_that_cannot_be_written_is_one_line(watch: Watch, variable: str, path: str) -> None:
    run = watch(PROGRAM, {variable: path})
    assert (run.child.status, run.child.out) == (0, "")
    lines = [line for line in run.child.err.splitlines() if "cannot be written" in line]
    assert len(lines) == 1
    assert path.lstrip(".") in lines[0]
    assert "Traceback" not in run.child.err
    assert not [name for name in os.listdir(run.folder) if name.endswith(".tmp")]


# -- processes below the first one ---------------------------------------------------------

SUBPROCESS = """
import asyncio, subprocess, sys
code = "import asyncio; asyncio.run(asyncio.sleep(0)); print('below')"
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await process.wait()
    print(process.pid)
asyncio.run(main())
"""


def test_subprocess_has_its_own_report(watch: Watch) -> None:
    run = watch(SUBPROCESS)
    assert run.child.status == 0
    below, pid = run.child.out.split()
    assert below == "below"
    assert [report["process"]["pid"] for report in run.others] == [int(pid)]
    assert (run.folder / f"report.json.{pid}.json").exists()
    assert run.report["process"]["pid"] == run.child.pid


MULTIPROCESSING = """
import asyncio, multiprocessing, os, sys

locks = []

async def held(lock):
    locks.append(lock)
    await lock.acquire()

async def main():
    await asyncio.create_task(held(asyncio.Lock()))

def work(n):
    asyncio.run(main())
    return os.getpid()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if sys.argv[1:] else METHOD)
    process = context.Process(target=work, args=(1,))
    process.start()
    process.join()
    print(process.pid, process.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_child_has_its_own_report(watch: Watch, method: str) -> None:
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("no fork here")
    run = watch(f"METHOD = {method!r}\n{MULTIPROCESSING}")
    assert run.child.status == 0, run.child.err
    pid, code = run.child.out.split()
    assert code == "0"
    own = [report for report in run.others if report["process"]["pid"] == int(pid)]
    assert len(own) == 1, run.others
    assert [finding["kind"] for finding in own[0]["findings"]] == ["lock_held_at_task_end"]
    assert run.kinds == []
    assert "DeprecationWarning" not in run.child.err


def test_what_the_parent_found_is_not_in_the_childs_report(watch: Watch) -> None:
    run = watch(
        f"METHOD = 'fork'\n{MULTIPROCESSING}".replace(
            'if __name__ == "__main__":\n', 'if __name__ == "__main__":\n    work(0)\n'
        ).replace("def work(n):\n", "def work(n):\n    if n: return\n")
    )
    assert run.kinds == ["lock_held_at_task_end"]
    assert [report["findings"] for report in run.others] == [[]]


def test_pool_workers_leave_reports(watch: Watch) -> None:
    text = f"METHOD = 'fork'\n{MULTIPROCESSING}".split("    process =")[0] + (
        "    with context.Pool(2) as pool:\n        pool.map(work, range(4))\n"
        "        pool.close()\n        pool.join()\n"
    )
    run = watch(text)
    assert run.child.status == 0, run.child.err
    assert run.others
    assert {finding["kind"] for report in run.others for finding in report["findings"]} == {
        "lock_held_at_task_end"
    }


BESIDE_ONE_ANOTHER = """
import multiprocessing, os, sys

def work():
    import asyncio
    asyncio.run(asyncio.sleep(0))

def fork():
    pid = os.fork()
    if not pid:
        work()
        sys.exit()
    return pid

if __name__ == "__main__":
    if METHOD == "os.fork":
        pids = [fork(), fork()]
        for pid in pids:
            os.waitpid(pid, 0)
    else:
        context = multiprocessing.get_context(METHOD)
        children = [context.Process(target=work) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        pids = [child.pid for child in children]
    print(*pids, "asyncio" in sys.modules)
"""


@pytest.mark.parametrize("method", ["os.fork", "fork", "spawn"])
def test_children_beside_one_another_keep_their_reports(tmp_path: Path, method: str) -> None:
    """Their parent, which never imports asyncio, is nobody who would have named them."""
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("no fork here")
    program = tmp_path / "program.py"
    program.write_text(f"METHOD = {method!r}\n{BESIDE_ONE_ANOTHER}")
    report = tmp_path / "report.json"
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_REPORT": str(report)}
    child = run_child(program, env=env, cwd=tmp_path)
    *pids, imported = child.out.split()
    assert (child.status, imported) == (0, "False"), child.err
    found = {path.name for path in tmp_path.glob("report.json*")}
    assert found == {f"report.json.{pid}.json" for pid in pids}


def test_forked_child_that_ends_by_os_exit_says_nothing(watch: Watch) -> None:
    run = watch(
        "import asyncio, os\nasyncio.run(asyncio.sleep(0))\npid = os.fork()\n"
        "if not pid:\n    asyncio.run(asyncio.sleep(0)); os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n",
    )
    assert (run.child.status, run.child.out) == (0, "3\n")
    assert run.child.err.count("asyncscope:") == 2
    assert "Warning" not in run.child.err
    assert run.others == []


def test_exec_keeps_the_place_of_the_first_process(watch: Watch) -> None:
    run = watch(
        "import asyncio, os, sys\n"
        "code = 'import asyncio; asyncio.run(asyncio.sleep(0))'\n"
        "os.execv(sys.executable, [sys.executable, '-c', code])\n"
    )
    assert run.report["process"]["pid"] == run.child.pid
    assert run.report["statistics"]["tasks"]["created"] == 3
