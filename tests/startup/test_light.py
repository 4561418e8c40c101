"""What the agent brings into a program that does little."""

import json
import os
import sysconfig
from pathlib import Path

from autoinstrument.findings import Finding, Related
from autoinstrument.places import Place, is_stdlib_file, is_user_file
from tests.helpers import run_child

PROGRAM = """
import asyncio, json, sys

async def main():
    pass

asyncio.run(main())
print(json.dumps(sorted(sys.modules)))
"""

BY_DESIGN = {"_imp", "_interpreters", "_xxsubinterpreters", "gc"}
BY_THE_AGENTS_THREAD = {"resource"}
"""Compiled into the interpreter or nearly free."""


def test_a_watched_program_imports_nothing_else_that_asyncio_does_not_need(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(PROGRAM)
    loaded = {}
    for on in ("0", "1"):
        child = run_child(program, env={"ASYNCSCOPE_ENABLE": on, "ASYNCSCOPE_EXPORTER": "none"})
        assert child.status == 0, child.err
        loaded[on] = set(json.loads(child.out))
    more = {name for name in loaded["1"] - loaded["0"] if name.split(".")[0] != "autoinstrument"}
    assert "autoinstrument.agent" in loaded["1"]
    assert more <= BY_DESIGN | BY_THE_AGENTS_THREAD


def test_libraries_are_those_that_sysconfig_names() -> None:
    for name in ("stdlib", "purelib", "platlib"):
        file = os.path.join(sysconfig.get_path(name), "some", "module.py")
        assert not is_user_file(file)
        assert is_stdlib_file(file) == (name == "stdlib")


def test_places_and_findings_are_equal_when_their_fields_are() -> None:
    place, same = Place("/a.py", 1, "work"), Place("/a.py", 1, "work")
    assert (place, Related("here", place)) == (same, Related("here", same))
    assert len({place, same, Place("/a.py", 2, "work")}) == 2
    assert place != ("/a.py", 1, "work")
    assert repr(place) == "Place(file='/a.py', line=1, function='work')"
    finding = Finding("lock_reentry", "It.", "Do.", place)
    assert finding == Finding("lock_reentry", "It.", "Do.", same)
    finding.count += 1
    assert finding != Finding("lock_reentry", "It.", "Do.", same)
