"""A recording is readable at any time, whatever became of its process and of its disk."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.agent import Agent
from autoinstrument.config.schema import Settings
from autoinstrument.export.recording import Recorder, read_recording
from tests.helpers import SCRIPTS, child_environment, run_child

PROGRAM = """
import asyncio, os, sys

lock = asyncio.Lock()

async def waits():
    await lock.acquire()
    await asyncio.Event().wait()

async def main():
    task = asyncio.create_task(waits(), name="waiting one")
    await asyncio.sleep(0)
    lock.release()
    print("up", flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    task.cancel()

asyncio.run(main())
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    program = folder / "program.py"
    program.write_text(PROGRAM)
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_RECORD": str(folder / "run.jsonl")}
    return subprocess.Popen(
        [sys.executable, program, str(seconds)],
        env=child_environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_states(path: Path, count: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if path.read_text().count('"type": "state"') >= count:
                return
        time.sleep(0.02)
    pytest.fail(f"no {count} states in {path}")


@pytest.mark.slow
def test_killed_process_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with start(tmp_path, 60) as process:
        wait_for_states(path, 2)
        process.kill()
        process.wait(10)
    recording = read_recording(path)
    assert (recording.ended, recording.damaged) == (False, 0)
    report = recording.report()
    assert [finding["kind"] for finding in report["findings"]] == ["lock_released_by_other_task"]
    assert report["statistics"]["tasks"]["created"] == 2
    (waiting,) = [task for task in recording.tasks if task["name"] == "waiting one"]
    assert (waiting["qualname"], waiting["waiting_at"]["line"]) == ("waits", 8)
    assert waiting["waits_for"].startswith("asyncio.Event")
    shown = run_child(SCRIPTS / "asyncscope", "recording", path, python="")
    assert "1. lock_released_by_other_task" in shown.out
    assert "was killed" in shown.out
    assert 'task "waiting one" (waits) waited at ' in shown.out
    as_json = run_child(SCRIPTS / "asyncscope", "recording", "--json", path, python="")
    assert json.loads(as_json.out) == report


@pytest.mark.slow
def test_recording_of_a_process_that_ends_says_what_the_report_says(tmp_path: Path) -> None:
    program, path, report = tmp_path / "p.py", tmp_path / "run.jsonl", tmp_path / "report.json"
    program.write_text(PROGRAM)
    path.write_text("an older one\n")
    path.chmod(0o644)
    settings = {"RECORD": path, "REPORT": report, "ENABLE": 1}
    env = {f"ASYNCSCOPE_{name}": str(value) for name, value in settings.items()}
    child = run_child(program, "0", env=env, cwd=tmp_path)
    assert child.status == 0
    recording, expected = read_recording(path), json.loads(report.read_text())
    assert recording.ended
    found = recording.report()
    for document in (found, expected):
        document["process"].pop("ended")
    assert found == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.slow
def test_child_process_has_a_recording_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "p.py"
    program.write_text(
        "import asyncio, os\nasyncio.run(asyncio.sleep(0))\npid = os.fork()\n"
        "asyncio.run(asyncio.sleep(1.5))\nif pid: print(pid, os.waitpid(pid, 0)[1])\n"
        "else: os._exit(0)\n"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_RECORD": "run.jsonl"}
    child = run_child(program, env=env, cwd=tmp_path)
    pid, status = child.out.split()
    assert (child.status, status) == (0, "0")
    below = read_recording(tmp_path / f"run.jsonl.{pid}.json")
    assert below.process["pid"] == int(pid)
    assert not below.ended  # os._exit
    own = read_recording(tmp_path / "run.jsonl")
    assert own.process["pid"] == child.pid
    assert own.ended


@pytest.mark.slow
def test_recording_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with start(tmp_path, 60) as process:
        wait_for_states(path, 1)
        assert read_recording(path).tasks
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert read_recording(path).ended


# -- the writer ------------------------------------------------------------------------------


@pytest.fixture
def agent() -> Agent:
    return Agent(Settings(), [])


def recorder(agent: Agent, path: Path, said: list[str], **options: Any) -> Recorder:
    return Recorder(str(path), agent.world, said.append, **options)


def test_recording_is_bounded_and_says_what_it_dropped(agent: Agent, tmp_path: Path) -> None:
    path, said = tmp_path / "r.jsonl", list[str]()
    found = recorder(agent, path, said, most_bytes=4_000)
    for number in range(300):
        agent.world.tasks.created = number
        found.drain()
        assert path.stat().st_size < 6_000
    found.finish()
    recording = read_recording(path)
    assert recording.statistics["tasks"]["created"] == 299
    assert (recording.ended, recording.damaged) == (True, 0)
    states = path.read_text().count('"type": "state"')
    assert recording.dropped > 200 > states
    assert said == []


def test_file_that_is_taken_away_is_written_anew(agent: Agent, tmp_path: Path) -> None:
    path, said = tmp_path / "r.jsonl", list[str]()
    found = recorder(agent, path, said)
    found.drain()
    path.unlink()
    found.drain()
    assert read_recording(path).statistics["tasks"]["created"] == 0
    assert said == []


def test_full_disk_is_one_line_and_is_tried_again(agent: Agent, tmp_path: Path) -> None:
    import resource

    path, said = tmp_path / "r.jsonl", list[str]()
    found = recorder(agent, path, said)
    found.drain()
    size = path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        for _ in range(3):
            found.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(said) == 1
    assert "cannot be written (File too large); it is tried again" in said[0]
    assert path.stat().st_size <= size + 10
    agent.world.tasks.created = 7
    found.finish()
    recording = read_recording(path)
    assert (recording.ended, recording.damaged) == (True, 1)  # the line that was cut off
    assert recording.statistics["tasks"]["created"] == 7


def test_device_is_written_to_and_not_replaced(agent: Agent) -> None:
    said: list[str] = []
    kinds = [os.stat(name).st_mode for name in ("/dev/full", "/dev/null")]
    found = recorder(agent, Path("/dev/full"), said)
    found.drain()
    found.finish()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    recorder(agent, Path("/dev/null"), said).finish()
    assert len(said) == 1
    assert [os.stat(name).st_mode for name in ("/dev/full", "/dev/null")] == kinds


def test_many_tasks_are_cut(agent: Agent, tmp_path: Path) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(1_000)]
        await asyncio.sleep(0)
        for task in tasks:
            agent.world.tasks.record_of(task)
        recorder(agent, tmp_path / "r.jsonl", []).drain()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())
    assert len(read_recording(tmp_path / "r.jsonl").tasks) == 200


# -- the reader ------------------------------------------------------------------------------

HEAD = b'{"type": "process", "version": 1, "pid": 1, "python": "3", "argv": [], "started": "S"}\n'


@pytest.mark.parametrize("content", [b"", b"\n", b"no json\n", b'{"type": "state"}\n', b"[1]\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(ValueError, match="is no recording"):
        read_recording(tmp_path / "r")


def test_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(HEAD.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(ValueError, match="recording of version 2; this reads 1"):
        read_recording(tmp_path / "r")


def test_damaged_lines_are_counted_and_unknown_ones_left_out(tmp_path: Path) -> None:
    lines = [
        HEAD,
        b'{"type": "future", "x": 1}\n',
        b'{"type": "state", "at": "T", "statistics": {"tasks": {}}, "tasks": []}\n',
        b'{"type": "state", "at": 5}\n',
        b'{"type": "finding", "number": 0}\n',
        b'{"type": "sta',
    ]
    (tmp_path / "r").write_bytes(b"".join(lines))
    recording = read_recording(tmp_path / "r")
    assert (recording.at, recording.statistics) == ("T", {"tasks": {}})
    assert (recording.damaged, recording.ended, recording.findings) == (3, False, {})
