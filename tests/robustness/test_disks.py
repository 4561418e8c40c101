"""Disks that are full or must not be written to: a line each, and the program goes on."""

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstrument.export import files
from tests.helpers import child_environment
from tests.robustness.watched import said, write

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, sys

async def main():
    for _ in range(int(sys.argv[1])):
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))
        await asyncio.sleep(0.1)
    print("done")

asyncio.run(main())
"""
OUTPUTS = {
    "report": ("ASYNCSCOPE_REPORT", {}),
    "recording": ("ASYNCSCOPE_RECORD", {}),
    "file exporter": ("ASYNCSCOPE_FILE", {"ASYNCSCOPE_EXPORTER": "file"}),
    "counters": ("ASYNCSCOPE_STATS_FILE", {}),
}


def run(
    folder: Path, output: str, target: str, *, most_bytes: int = 0
) -> "subprocess.CompletedProcess[str]":
    """Run the program with one output at `target`; `most_bytes` is the room on its disk."""
    variable, more = OUTPUTS[output]
    steps = "13" if output in {"recording", "file exporter"} else "1"  # written while it runs

    def limit() -> None:
        if most_bytes:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    env = child_environment({"ASYNCSCOPE_ENABLE": "1", variable: target, **more})
    return subprocess.run(
        [sys.executable, "-B", write(folder, PROGRAM), steps],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )


def assert_untroubled(done: "subprocess.CompletedProcess[str]", word: str) -> None:
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "Traceback" not in done.stderr
    told = [line for line in said(done.stderr) if word in line]
    assert len(told) == 1, done.stderr
    assert "no findings" in done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("output", OUTPUTS)
def test_disk_that_fills_up_is_one_line(tmp_path: Path, output: str) -> None:
    target = tmp_path / "out"
    done = run(tmp_path, output, str(target), most_bytes=200)
    assert_untroubled(done, "File too large")
    assert not target.exists() or target.stat().st_size <= 200
    assert [path.name for path in tmp_path.glob("*.tmp")] == []


@pytest.mark.parametrize("output", OUTPUTS)
def test_full_device_is_one_line_and_is_not_replaced(tmp_path: Path, output: str) -> None:
    before = os.stat("/dev/full")
    assert_untroubled(run(tmp_path, output, "/dev/full"), "No space left")
    after = os.stat("/dev/full")
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISCHR(after.st_mode)


@pytest.mark.heavy
@pytest.mark.parametrize("output", OUTPUTS)
def test_place_that_cannot_be_written_is_one_line(tmp_path: Path, output: str) -> None:
    """`/proc` refuses new files to everybody, root included."""
    target = "/proc/asyncscope/out" if output != "report" else "/proc/out"
    assert_untroubled(
        run(tmp_path, output, target),
        "cannot be written" if output != "file exporter" else "cannot write",
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount")
def test_real_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    """A file system with room for a page: the older report survives the newer one's failure."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "report.json").write_text('{"version": 1}')
        with contextlib.suppress(OSError):
            (disk / "filler").write_bytes(b"x" * 100_000)
        done = run(tmp_path, "report", str(disk / "report.json"))
        assert_untroubled(done, "No space left")
        assert json.loads((disk / "report.json").read_text()) == {"version": 1}
    finally:
        subprocess.run(["umount", disk], check=True)


# -- how files are made ------------------------------------------------------------------------


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.replace(str(tmp_path / "a"), b"x")
        files.append(str(tmp_path / "b"), b"x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())] == [0o600] * 2


def test_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    """In a folder that everybody may write to, others know the name that we will use."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f"report.{os.getpid()}.tmp").symlink_to(victim)
    files.replace(str(tmp_path / "report"), b"x")
    assert victim.read_text() == "precious"
    assert (tmp_path / "report").read_bytes() == b"x"


def test_link_to_a_report_is_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.replace(str(tmp_path / "link"), b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_pipe_is_written_to(tmp_path: Path) -> None:
    """`ASYNCSCOPE_REPORT=/dev/fd/3` and `>(jq .)` of the shell."""
    reading, writing = os.pipe()
    try:
        files.replace(f"/dev/fd/{writing}", b"x")
        assert os.read(reading, 10) == b"x"
    finally:
        os.close(reading)
        os.close(writing)


def test_half_written_line_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"cut off')
    files.append(str(path), b"{}\n", after_torn=True)
    assert path.read_bytes() == b'{"cut off\n{}\n'
