"""What was woven is kept for the next process, and used only where it is safe and fits."""

import linecache
import os
import sys
from pathlib import Path

import pytest

from autoinstrument.hooks import weaving
from autoinstrument.hooks.weaving import Edit, weave
from autoinstrument.hooks.woven_cache import WovenCache
from tests.helpers import run_child
from tests.weaving.conftest import Library, Witness

TEXT = "def work(a, b):\n    total = a + b\n    return total * 2\n"
EDIT = Edit("after", "port.saw(total)", "total =")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files have no owner and mode")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "caches" / "asyncscope"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by a name whenever a function is really compiled."""
    names: list[str] = []
    original = weaving._compile

    def counted(code: object, qualname: str, edits: object) -> object:
        names.append(qualname)
        return original(code, qualname, edits)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr(weaving, "_compile", counted)
    return names


def weave_and_save(library: Library, witness: Witness) -> Path:
    """Weave a library in a first process; return its file."""
    module = library(TEXT)
    cache = WovenCache()
    weave(module.work, witness, [EDIT], cache)
    cache.save()
    return Path(module.__file__)


def again(path: Path) -> object:
    """Import a file once more, as a second process would."""
    space: dict[str, object] = {}
    exec(compile(path.read_text(), path, "exec"), space)
    return space["work"]


def test_second_process_compiles_nothing(
    library: Library, witness: Witness, compiled: list[str]
) -> None:
    path = weave_and_save(library, witness)
    assert compiled == ["work"]

    work = again(path)
    weave(work, witness, [EDIT], WovenCache())  # type: ignore[arg-type]  # a function

    assert compiled == ["work"]
    assert work(3, 4) == 14  # type: ignore[operator]  # a function
    assert witness.seen == [7]


def test_other_code_or_other_edits_are_woven_anew(
    library: Library, witness: Witness, compiled: list[str]
) -> None:
    path = weave_and_save(library, witness)

    weave(again(path), witness, [Edit("entry", "port.saw(1)")], WovenCache())  # type: ignore[arg-type]
    assert compiled == ["work", "work"]

    path.write_text(TEXT.replace("* 2", "* 3"))
    linecache.cache.pop(str(path), None)
    changed = again(path)
    weave(changed, witness, [EDIT], WovenCache())  # type: ignore[arg-type]  # a function
    assert compiled == ["work", "work", "work"]
    assert changed(3, 4) == 21  # type: ignore[operator]  # a function


def only_file(folder: Path) -> Path:
    (found,) = folder.glob("*/*.bin")
    return found


def test_file_and_folder_are_the_users_alone(
    library: Library, witness: Witness, folder: Path
) -> None:
    weave_and_save(library, witness)
    path = only_file(folder)
    assert [oct(item.stat().st_mode & 0o777) for item in (path, path.parent)] == ["0o600", "0o700"]


@pytest.mark.parametrize("part", ["file", "folder"])
def test_what_others_may_write_is_not_loaded(
    library: Library, witness: Witness, folder: Path, compiled: list[str], part: str
) -> None:
    path = weave_and_save(library, witness)
    kept = only_file(folder)
    (kept if part == "file" else kept.parent).chmod(0o777)

    weave(again(path), witness, [EDIT], WovenCache())  # type: ignore[arg-type]  # a function

    assert compiled == ["work", "work"]


def test_link_is_not_followed(
    library: Library, witness: Witness, folder: Path, compiled: list[str]
) -> None:
    path = weave_and_save(library, witness)
    kept = only_file(folder)
    kept.rename(kept.parent / "elsewhere")
    kept.symlink_to(kept.parent / "elsewhere")

    weave(again(path), witness, [EDIT], WovenCache())  # type: ignore[arg-type]  # a function

    assert compiled == ["work", "work"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "another interpreter"])
def test_damaged_file_costs_one_weaving(
    library: Library, witness: Witness, folder: Path, compiled: list[str], damage: str
) -> None:
    path = weave_and_save(library, witness)
    kept = only_file(folder)
    data = bytearray(kept.read_bytes())
    if damage == "empty":
        data.clear()
    elif damage == "cut":
        del data[-10:]
    else:
        data[-20 if damage == "flipped" else 20] ^= 1
    kept.write_bytes(data)

    weave(again(path), witness, [EDIT], WovenCache())  # type: ignore[arg-type]  # a function

    assert compiled == ["work", "work"]


def test_nothing_is_written_where_python_writes_no_bytecode(
    library: Library, witness: Witness, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    weave_and_save(library, witness)
    assert not folder.exists()


def test_folder_that_cannot_be_made_is_no_error(
    library: Library, witness: Witness, folder: Path
) -> None:
    folder.parent.write_text("a file in its place")
    weave_and_save(library, witness)


PROGRAM = """
import asyncio, linecache

async def main():
    lock = asyncio.Lock()
    async with lock:
        pass

asyncio.run(main())
print(any(name.endswith("locks.py") for name in linecache.cache))
"""


@pytest.mark.slow
def test_second_start_of_a_program_reads_no_source(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "XDG_CACHE_HOME": str(tmp_path / "caches"),
        "ASYNCSCOPE_STATS_FILE": str(tmp_path / "counters.json"),
    }
    assert [run_child(program, env=env).out.strip() for _ in range(2)] == ["True", "False"]
    assert '"locks_acquired": 1' in (tmp_path / "counters.json").read_text()
