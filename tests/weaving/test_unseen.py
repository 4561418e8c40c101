"""What the program can see of a woven function is what it saw before."""

import asyncio
import dis
import inspect
import linecache
import pickle
import traceback
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import pytest

from autoinstrument.hooks.weaving import Edit, weave
from tests.weaving.conftest import Library, Witness, function

TEXT = '''
"""A library."""
import asyncio
import functools


def mark(function):
    function.marked = True
    return function


class Box:
    """Holds things."""

    @mark
    def take(self, index, /, default: "int" = 0, *, strict: bool = True) -> "int":
        """Take one out.

        Raises when it is empty."""
        items = {
            "a": [index, default],
        }
        if strict:
            total = sum(
                item / index
                for item in items["a"]
            )
            raise ValueError(
                total,
            )
        return default

    async def wait(self, turns=1):
        """Wait."""
        for _ in range(turns):
            await asyncio.sleep(0)
        raise KeyError(turns)


def top(n):
    below = functools.partial(divmod, n)
    return below(0)
'''
EDITS: dict[str, list[Edit]] = {
    "Box.take": [
        Edit("entry", "port.saw(self)"),
        Edit("before", "port.saw(items)", "if strict"),
        Edit("after", "port.saw(total)", "total = sum"),
        Edit("returns", "port.saw(1)"),
        Edit("leave", "port.saw(2)"),
    ],
    "Box.wait": [
        Edit("after", "port.saw(turns)", "await asyncio.sleep(0)"),
        Edit("leave", "port.saw(2)"),
        Edit("entry", "port.saw(1)"),
    ],
    "top": [Edit("result", "port.result(value)"), Edit("entry", "port.saw(n)")],
}
NAMES = sorted(EDITS)


def looks(found: FunctionType) -> dict[str, Any]:
    """Return everything about a function that a program may ask for, but its code object."""
    code = found.__code__
    linecache.checkcache()
    return {
        "id": id(found),
        "type": type(found),
        "repr": repr(found),
        "name": (found.__name__, found.__qualname__, found.__module__),
        "doc": found.__doc__,
        "dict": dict(found.__dict__),
        "defaults": (found.__defaults__, found.__kwdefaults__),
        "annotations": dict(found.__annotations__),
        "closure": found.__closure__,
        "globals": id(found.__globals__),
        "signature": str(inspect.signature(found)),
        "source": inspect.getsource(found),
        "source lines": inspect.getsourcelines(found)[1],
        "file": inspect.getsourcefile(found),
        "kinds": [
            bool(ask(found))
            for ask in (
                inspect.isfunction,
                inspect.iscoroutinefunction,
                inspect.isgeneratorfunction,
                inspect.isasyncgenfunction,
                callable,
            )
        ],
        "pickled": pickle.dumps(found),
        "code names": (code.co_name, code.co_qualname, code.co_filename, code.co_firstlineno),
        "arguments": (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        "flags": code.co_flags,
        "variables": (code.co_varnames, code.co_freevars, code.co_cellvars),
        "unwrapped": inspect.unwrap(found) is found,
    }


@pytest.mark.parametrize("name", NAMES)
def test_woven_function_looks_as_before(library: Library, witness: Witness, name: str) -> None:
    found = function(library(TEXT), name)
    before = looks(found)
    weave(found, witness, EDITS[name])
    assert looks(found) == before


@pytest.mark.parametrize("name", NAMES)
def test_pickle_gives_the_same_object(library: Library, witness: Witness, name: str) -> None:
    found = function(library(TEXT), name)
    weave(found, witness, EDITS[name])
    assert pickle.loads(pickle.dumps(found)) is found


def positions(code: CodeType) -> list[tuple[Any, ...]]:
    """Return the source positions of a code object in order, each run of equal ones once."""
    found: list[tuple[Any, ...]] = []
    for instruction in dis.get_instructions(code):
        where = instruction.positions
        if where is not None and where.lineno is not None and where != (found[-1] if found else ()):
            found.append(tuple(where))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_original_position_is_still_there(
    library: Library, witness: Witness, name: str
) -> None:
    found = function(library(TEXT), name)
    before = set(positions(found.__code__))
    weave(found, witness, EDITS[name])
    assert before <= set(positions(found.__code__))


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_added(library: Library, witness: Witness, name: str) -> None:
    found = function(library(TEXT), name)
    before = {line for _, _, line in found.__code__.co_lines() if line is not None}
    weave(found, witness, EDITS[name])
    assert {line for _, _, line in found.__code__.co_lines() if line is not None} == before


def failing(call: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 # whatever it is, it is compared
        call()
    return "".join(traceback.format_exception(caught.value))


def calls(module: Any) -> list[Callable[[], Any]]:
    return [
        lambda: module.Box().take(1),
        lambda: module.Box().take(0),
        lambda: module.Box().take(),
        lambda: module.Box().take(1, default=2, stricter=1),
        lambda: asyncio.run(module.Box().wait(2)),
        lambda: module.top(1),
        module.top,
    ]


@pytest.mark.parametrize("number", range(7))
def test_tracebacks_are_the_same_to_the_last_mark(
    library: Library, witness: Witness, number: int
) -> None:
    module = library(TEXT)
    before = failing(calls(module)[number])
    for name, edits in EDITS.items():
        weave(function(module, name), witness, edits)
    assert failing(calls(module)[number]) == before


def test_results_and_exceptions_are_the_same_objects(library: Library, witness: Witness) -> None:
    module = library("def give(x):\n    return x\n\n\ndef fail(x):\n    raise x\n")
    weave(module.give, witness, [Edit("result", "port.result(value)")])
    weave(module.fail, witness, [Edit("leave", "port.saw(1)")])
    thing = object()
    assert module.give(thing) is thing
    error = KeyError()
    with pytest.raises(KeyError) as caught:
        module.fail(error)
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)


def test_nothing_is_added_to_the_librarys_module(library: Library, witness: Witness) -> None:
    module = library(TEXT)
    before = set(vars(module))
    for name, edits in EDITS.items():
        weave(function(module, name), witness, edits)
    assert set(vars(module)) == before


def test_undo_restores_the_very_code_object(library: Library, witness: Witness) -> None:
    work = function(library(TEXT), "top")
    before = work.__code__
    original = weave(work, witness, EDITS["top"])
    assert original is before
    assert work.__code__ is not before
    work.__code__ = original
    with pytest.raises(ZeroDivisionError):
        work(1)
    assert witness.seen == []


def test_coroutines_started_before_weaving_end_as_they_began(
    library: Library, witness: Witness
) -> None:
    module = library(TEXT)
    coro = module.Box().wait(2)
    coro.send(None)
    weave(function(module, "Box.wait"), witness, EDITS["Box.wait"])
    coro.send(None)
    with pytest.raises(KeyError):
        coro.send(None)
    assert witness.seen == []


def test_arguments_are_released_when_the_function_returns(
    library: Library, witness: Witness
) -> None:
    import gc
    import weakref

    class Thing:
        pass

    work = function(library("def work(x):\n    y = [x]\n    return len(y)\n"), "work")
    weave(
        work,
        witness,
        [
            Edit("entry", "port.saw(1)"),
            Edit("leave", "port.saw(2)"),
            Edit("result", "port.result(value)"),
        ],
    )
    thing = Thing()
    gone = weakref.ref(thing)
    gc.disable()
    try:
        work(thing)
        del thing
        assert gone() is None
    finally:
        gc.enable()
