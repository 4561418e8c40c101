"""The list of watched processes: for the owner alone, never stale, never in the way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstrument import registry
from tests.helpers import child_environment, run_child

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes of files")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where files of this test are; no other folder is looked into."""
    found = tmp_path / "asyncscope"
    monkeypatch.setattr(registry, "folders", lambda: [str(found)])
    yield found
    registry.withdraw()


def test_entry_is_there_and_goes(folder: Path) -> None:
    assert registry.publish(watched=True, started=5.0)
    assert registry.publish(debug={"port": 1})
    (entry,) = registry.processes()
    assert entry["pid"] == os.getpid()
    assert entry["command"][0] == sys.orig_argv[0]
    assert (entry["watched"], entry["debug"]) == (True, {"port": 1})
    registry.withdraw("debug")
    assert "debug" not in registry.processes()[0]
    registry.withdraw()
    assert registry.processes() == []
    assert list(folder.iterdir()) == []


def test_last_fact_taken_back_removes_the_file(folder: Path) -> None:
    registry.publish(debug={"port": 1})
    registry.withdraw("debug")
    assert list(folder.iterdir()) == []


@posix
def test_folder_and_file_are_the_owners_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        registry.publish(watched=True)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


@posix
def test_folder_that_others_can_enter_is_not_used(folder: Path) -> None:
    registry.publish(watched=True)
    folder.chmod(0o755)
    assert registry.processes() == []
    assert not registry.publish(watched=True)
    assert "can be entered by others" in registry.problem()
    folder.chmod(0o700)
    assert len(registry.processes()) == 1
    assert registry.problem() == ""


@posix
def test_folder_of_somebody_else_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not registry.publish(watched=True)
    assert "belongs to another user" in registry.problem()


@posix
def test_process_with_the_rights_of_another_user_is_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert registry.folders() == []
    assert not registry.publish(watched=True)
    assert registry.problem() != ""


def test_link_in_the_folders_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    assert not registry.publish(watched=True)
    assert list(target.iterdir()) == []
    assert "is no folder" in registry.problem()


def test_files_of_the_dead_and_of_nobody_are_removed(folder: Path) -> None:
    registry.publish(watched=True)
    (folder / "999999999.json").write_text(json.dumps({"pid": 999999999}))
    (folder / "77.json").write_text("{")
    for name in ("999999999.request", "999999999.json.new", f"{os.getpid()}.request"):
        (folder / name).write_text("{}")
    earlier = {"pid": os.getpid(), "identity": "1:2:3"}
    assert not registry.is_same(earlier) or not os.path.exists("/proc/self/stat")
    assert [entry["pid"] for entry in registry.processes()] == [os.getpid()]
    left = {path.name for path in folder.iterdir()}
    assert left == {f"{os.getpid()}.json", f"{os.getpid()}.request"}


def test_process_that_hides_its_addresses_is_not_taken_for_another() -> None:
    mine = registry.identity(os.getpid())
    if not mine:
        pytest.skip("no /proc")
    start = mine.split(":")[0]
    assert registry.is_same({"pid": os.getpid(), "identity": f"{start}:1:0"})
    assert not registry.is_same({"pid": os.getpid(), "identity": f"{start}:9:9"})


def test_unwritable_place_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "folders", lambda: ["/proc/none/asyncscope"])
    assert registry.publish(watched=True) is False
    assert registry.processes() == []
    assert registry.problem() != ""


AFTER = """
import asyncio, json, os, sys, time
from autoinstrument import registry

def mine():
    return [e for e in registry.processes() if e["folder"].startswith(os.environ["TMPDIR"])]

def seen():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = [e["pid"] for e in mine() if e.get("watched")]
        if os.getpid() in found:
            return sorted(found)
        time.sleep(0.02)

async def main():
    return await asyncio.to_thread(seen)
"""


def environment(folder: Path) -> dict[str, str]:
    return {"ASYNCSCOPE_ENABLE": "1", "XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder)}


@pytest.mark.slow
def test_watched_process_is_listed_from_its_first_loop_to_its_exit(tmp_path: Path) -> None:
    child = run_child(
        "-c",
        AFTER
        + "import glob; before = os.listdir(os.environ['TMPDIR'])\n"
        + "print(before, asyncio.run(main()) == [os.getpid()])",
        env=environment(tmp_path),
    )
    assert child.out.split() == ["[]", "True"], child.err
    assert list((tmp_path / "asyncscope").iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_are_listed_for_themselves_and_programs_run_by_exec_are_not(tmp_path: Path) -> None:
    program = (
        AFTER
        + """
parent = asyncio.run(main())
child = os.fork()
if child == 0:
    both = asyncio.run(main())
    print("fork", both == sorted([os.getppid(), os.getpid()]), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("after", seen() == [os.getpid()], flush=True)
os.environ.pop("ASYNCSCOPE_ENABLE")
os.execv(sys.executable, [sys.executable, "-c",
    "import os; from autoinstrument import registry;"
    "print('exec', os.getpid() in [e['pid'] for e in registry.processes()])"])
"""
    )
    child = run_child("-c", program, env=environment(tmp_path))
    assert child.out.splitlines() == ["fork True", "after True", "exec False"], child.err


@pytest.mark.slow
@posix
def test_squatted_folder_harms_nobody(tmp_path: Path) -> None:
    for name in ("asyncscope", f"asyncscope-{os.getuid()}"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    program = (
        "import asyncio, time\nasync def main(): await asyncio.sleep(0.2)\nasyncio.run(main())"
    )
    child = run_child("-c", program, env=environment(tmp_path))
    assert child.status == 0
    assert "registry" not in child.err
    assert list((tmp_path / "asyncscope").iterdir()) == []


@pytest.mark.slow
def test_killed_process_is_no_longer_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "folders", lambda: [str(tmp_path / "asyncscope")])
    program = "import asyncio; asyncio.run(asyncio.sleep(60))"
    with subprocess.Popen(
        [sys.executable, "-c", program], env=child_environment(environment(tmp_path))
    ) as process:
        end = time.monotonic() + 20
        while not registry.processes() and time.monotonic() < end:
            time.sleep(0.02)
        assert [entry["pid"] for entry in registry.processes()] == [process.pid]
        process.kill()
        process.wait(10)
        assert registry.processes() == []
