"""A function of another shape is left alone, and the reason is said."""

import asyncio
import linecache
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.hooks.patching import Patches
from autoinstrument.hooks.weaving import Edit, WeaveError, weave
from tests.helpers import run_child
from tests.weaving.conftest import Library, Witness, function

TEXT = "def work(a, b):\n    '''Add.'''\n    total = a + b\n    return total * 2\n"
ENTRY = Edit("entry", "port.saw(1)")

CHANGES = {
    "another argument": TEXT.replace("a, b)", "a, b, c=1)"),
    "a default added": TEXT.replace("def work(a, b)", "def work(a, *, b)"),
    "another variable": TEXT.replace("total", "sum_"),
    "another name": TEXT.replace("a + b", "len(a)"),
    "another constant": TEXT.replace("* 2", "* 30000"),
    "another operator": TEXT.replace("a + b", "a - b"),
    "other order": TEXT.replace("a + b", "b + a"),
    "another function": TEXT.replace("def work", "def other"),
    "moved down": "import os\n\n" + TEXT,
    "no function": "\n\n\n\n\n",
    "shorter file": "",
    "broken": "def work(a, b:\n  (\n",
    "now a coroutine": "async " + TEXT,
    "now a class": "class work:\n    pass\n",
}


def rewrite(module: Any, text: str) -> None:
    """Change a module's file under its feet, as an upgrade of a running program does."""
    Path(module.__file__).write_text(text, encoding="utf-8")
    linecache.cache.pop(module.__file__, None)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_source_is_refused(library: Library, witness: Witness, change: str) -> None:
    module = library(TEXT)
    before = module.work.__code__
    rewrite(module, CHANGES[change])
    lines: list[str] = []
    patches = Patches(lines.append)
    assert not patches.weave("adding", module, "work", witness, ENTRY)
    assert module.work.__code__ is before
    assert module.work(1, 2) == 6
    assert witness.seen == []
    assert [state.state for state in patches.states] == ["off"]
    assert len(lines) == 1
    assert "adding is off (hook-unverified)" in lines[0]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Edit("before", "port.saw(1)", "total = b"), "no statement starts with 'total = b'"),
        (Edit("after", "port.saw(1)", "otal = a"), "no statement starts with"),
        (Edit("entry", "port.saw(1)", inside="inner"), "no function inner inside"),
    ],
    ids=["anchor", "middle of a statement", "nested"],
)
def test_missing_anchor_is_refused(
    library: Library, witness: Witness, edit: Edit, reason: str
) -> None:
    work = function(library(TEXT), "work")
    before = work.__code__
    with pytest.raises(WeaveError, match=reason):
        weave(work, witness, [ENTRY, edit])
    assert work.__code__ is before


def test_function_without_return_has_no_returns(library: Library, witness: Witness) -> None:
    work = function(library("def work():\n    pass\n"), "work")
    with pytest.raises(WeaveError, match="return"):
        weave(work, witness, [Edit("returns", "port.saw(1)")])


def test_function_without_source_is_refused(witness: Witness) -> None:
    space: dict[str, Any] = {}
    exec("def work():\n    return 1\n", space)
    with pytest.raises(WeaveError, match="no source"):
        weave(space["work"], witness, [ENTRY])
    assert space["work"]() == 1


def test_lambda_is_refused(library: Library, witness: Witness) -> None:
    work = function(library("work = lambda: 1\n"), "work")
    with pytest.raises(WeaveError):
        weave(work, witness, [ENTRY])
    assert work() == 1


@pytest.mark.parametrize(
    ("holder", "attribute"),
    [(asyncio.Future, "cancel"), (dict, "get"), (asyncio, "no_such_name"), (asyncio, "Lock")],
    ids=["compiled method", "slot", "missing", "class"],
)
def test_what_is_no_python_function_is_left_alone(
    witness: Witness, holder: Any, attribute: str
) -> None:
    lines: list[str] = []
    patches = Patches(lines.append)
    assert not patches.weave("part", holder, attribute, witness, ENTRY)
    assert "not a Python function" in patches.states[0].detail
    assert len(lines) == 1


def test_functions_under_other_tools_wrappers_are_woven(library: Library, witness: Witness) -> None:
    module = library(TEXT)
    import functools

    inner = module.work

    @functools.wraps(inner)
    def wrapper(*args: Any) -> Any:
        return inner(*args) + 100

    module.work = wrapper
    patches = Patches(print)
    assert patches.weave("part", module, "work", witness, ENTRY)
    assert module.work(1, 2) == 106
    assert module.work is wrapper
    assert witness.seen == [1]
    patches.undo()
    assert module.work(1, 2) == 106
    assert witness.seen == [1]


@pytest.mark.parametrize("kind", ["staticmethod", "classmethod"])
def test_static_and_class_methods_are_woven(library: Library, witness: Witness, kind: str) -> None:
    first = "cls, " if kind == "classmethod" else ""
    module = library(f"class Box:\n    @{kind}\n    def put({first}n):\n        return n\n")
    patches = Patches(print)
    assert patches.weave("part", module.Box, "put", witness, Edit("entry", "port.saw(n)"))
    assert module.Box.put(3) == 3
    assert witness.seen == [3]
    patches.undo()


def rewritten_by_pytest(n: int) -> int:
    """Stand for a function of a package with a pytest plugin: its asserts are rewritten."""
    assert n > 0, "small"
    assert isinstance(n, int)
    return n * 2


def test_functions_with_rewritten_asserts_are_woven_and_restored(witness: Witness) -> None:
    work: Any = rewritten_by_pytest
    before = work.__code__
    assert any(name.startswith("@py") for name in before.co_names)
    original = weave(
        work, witness, [Edit("entry", "port.saw(n)"), Edit("result", "port.result(value)")]
    )
    try:
        assert work(2) == 4
        with pytest.raises(AssertionError, match="small"):
            work(-1)
    finally:
        work.__code__ = original
    assert witness.seen == [2, 4, -1]
    assert work.__code__ is before


OPTIMIZED = """
import asyncio, contextlib, warnings
from autoinstrument import agent
installed = agent.install()
import anyio, anyio._backends._asyncio
import uvloop
off = [hook["target"] for hook in agent.status()["hooks"] if hook["state"] == "off"]
woven = sum(hook["state"] == "woven" for hook in agent.status()["hooks"])
async def main():
    lock = asyncio.Lock()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group, lock:
        group.create_task(asyncio.sleep(0))
    return 7
print(off, woven > 25, asyncio.run(main()), installed.world.tasks.created > 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-O"], ["-OO"], ["-X", "no_debug_ranges"]], ids=str)
def test_every_hook_fits_in_each_mode_of_the_interpreter(flags: list[str]) -> None:
    child = run_child(*flags, "-W", "error", "-c", OPTIMIZED, env={"ASYNCSCOPE_QUIET": "1"})
    assert (child.status, child.err) == (0, "")
    assert child.out == "[] True 7 True\n"
