"""Every place at which a call can be put into a function, and what it sees there."""

import asyncio
from typing import Any

import pytest

from autoinstrument.hooks.weaving import Edit, WeaveError, weave
from tests.weaving.conftest import Library, Witness, function


def play(library: Library, witness: Witness, text: str, *edits: Edit) -> Any:
    """Weave edits into `work` of a library and return the function."""
    work = function(library(text), "work")
    weave(work, witness, edits)
    return work


def test_entry_comes_before_the_first_statement_and_sees_arguments(
    library: Library, witness: Witness
) -> None:
    text = "def work(a, *rest, b=2, **more):\n    a = a + b\n    return a\n"
    work = play(library, witness, text, Edit("entry", "port.saw(a, rest, b, more)"))
    assert work(1, 5, b=3, c=4) == 4
    assert witness.seen == [(1, (5,), 3, {"c": 4})]


@pytest.mark.parametrize(
    "body", ["'''Only text.'''", "pass", "...", "return None"], ids=["text", "pass", "dots", "none"]
)
def test_entry_works_in_the_smallest_bodies(library: Library, witness: Witness, body: str) -> None:
    work = play(library, witness, f"def work():\n    {body}\n", Edit("entry", "port.saw('in')"))
    assert work() is None
    assert witness.seen == ["in"]


def test_entry_keeps_the_docstring(library: Library, witness: Witness) -> None:
    text = "def work():\n    '''Say\n    something.'''\n    return 1\n"
    before = library(text).work.__doc__
    work = play(library, witness, text, Edit("entry", "port.saw('in')"))
    assert work.__doc__ == before
    assert before.startswith("Say\n")
    assert work() == 1
    assert witness.seen == ["in"]


def test_entry_of_a_generator_runs_at_its_first_step(library: Library, witness: Witness) -> None:
    work = play(
        library, witness, "def work():\n    yield 1\n    yield 2\n", Edit("entry", "port.saw(0)")
    )
    steps = work()
    assert witness.seen == []
    assert list(steps) == [1, 2]
    assert witness.seen == [0]


def test_before_and_after_surround_the_statement(library: Library, witness: Witness) -> None:
    text = "def work():\n    x = 1\n    x = x + 1\n    return x\n"
    work = play(
        library,
        witness,
        text,
        Edit("before", "port.saw('before', x)", "x = x + 1"),
        Edit("after", "port.saw('after', x)", "x = x + 1"),
    )
    assert work() == 2
    assert witness.seen == [("before", 1), ("after", 2)]


def test_anchor_is_the_start_of_a_statement_however_it_is_written(
    library: Library, witness: Witness
) -> None:
    text = (
        "def work(seen):\n"
        "    seen.append(  # a comment\n"
        '        "x",\n'
        "    )\n"
        "    return len(seen)\n"
    )
    work = play(library, witness, text, Edit("before", "port.saw(len(seen))", "seen.append('x'"))
    assert work([]) == 1
    assert witness.seen == [0]


DEEP = """
def work(how):
    if how == "if":
        mark = 1
    elif how == "elif":
        mark = 1
    else:
        for _ in ():
            pass
        else:
            mark = 1
        while True:
            mark = 1
            break
        try:
            mark = 1
            raise KeyError
        except KeyError:
            mark = 1
        finally:
            mark = 1
        try:
            pass
        except* ValueError:
            pass
        else:
            mark = 1
        with open(__file__):
            mark = 1
"""


@pytest.mark.parametrize(("how", "times"), [("if", 1), ("elif", 1), ("else", 7)])
def test_anchors_are_found_at_every_depth(
    library: Library, witness: Witness, how: str, times: int
) -> None:
    work = play(library, witness, DEEP, Edit("after", "port.saw(mark)", "mark = 1"))
    work(how)
    assert witness.seen == [1] * times


def test_anchors_are_found_in_the_cases_of_a_match(library: Library, witness: Witness) -> None:
    text = (
        "def work(how):\n    match how:\n        case 1:\n            mark = 1\n"
        "            return 1\n    mark = 1\n    return 2\n"
    )
    work = play(library, witness, text, Edit("after", "port.saw(how)", "mark = 1"))
    assert (work(1), work(2)) == (1, 2)
    assert witness.seen == [1, 2]


def test_anchors_are_not_looked_for_in_nested_definitions(
    library: Library, witness: Witness
) -> None:
    text = (
        "def work():\n    def inner():\n        mark = 1\n        return mark\n"
        "    class Inner:\n        mark = 1\n    mark = 1\n    return inner() + Inner.mark + mark\n"
    )
    work = play(library, witness, text, Edit("after", "port.saw(mark)", "mark = 1"))
    assert work() == 3
    assert witness.seen == [1]


def test_returns_is_before_each_return_of_the_function_alone(
    library: Library, witness: Witness
) -> None:
    text = (
        "def work(n):\n    def inner():\n        return 10\n    if n:\n        return inner()\n"
        "    try:\n        return 0\n    finally:\n        n = 5\n"
    )
    work = play(library, witness, text, Edit("returns", "port.saw(n)"))
    assert (work(1), work(0)) == (10, 0)
    assert witness.seen == [1, 0]


def test_result_receives_and_gives_back_the_returned_object(
    library: Library, witness: Witness
) -> None:
    text = "def work(n):\n    if n:\n        return [n]\n    return None\n"
    work = play(library, witness, text, Edit("result", "port.result(value)"))
    first = work(1)
    assert first is witness.seen[0]
    assert work(0) is None
    assert witness.seen == [[1], None]


def test_result_evaluates_the_expression_once(library: Library, witness: Witness) -> None:
    text = "calls = []\ndef work():\n    return calls.append(1)\n"
    work = play(library, witness, text, Edit("result", "port.result(value)"))
    work()
    assert work.__globals__["calls"] == [1]


@pytest.mark.parametrize("text", ["[n]", "made"], ids=["expression", "variable"])
def test_statements_before_a_result_see_it_and_may_fail(
    library: Library, witness: Witness, text: str
) -> None:
    source = f"def work(n):\n    made = [n]\n    return {text}\n"
    told = "try:\n    port.saw(value)\n    port.none\nexcept AttributeError:\n    port.saw(value)"
    work = play(library, witness, source, Edit("result", told))
    given = work(1)
    assert given == [1]
    assert [seen is given for seen in witness.seen] == [True, True]


def test_result_kept_for_statements_stays_in_no_frame(library: Library, witness: Witness) -> None:
    text = "import sys\ndef work(keep):\n    keep.append(sys._getframe())\n    return object()\n"
    work = play(library, witness, text, Edit("result", "port.saw(value)\nport.saw(2)"))
    frames: list[Any] = []
    given = work(frames)
    assert witness.seen == [given, 2]
    assert list(frames[0].f_locals) == ["keep"]


def test_result_cannot_stand_around_a_bare_return(library: Library, witness: Witness) -> None:
    with pytest.raises(WeaveError, match="returned value"):
        play(library, witness, "def work():\n    return\n", Edit("result", "port.result(value)"))


@pytest.mark.parametrize(("fail", "seen"), [(False, ["in", "out"]), (True, ["in", "out"])])
def test_leave_runs_however_the_function_is_left(
    library: Library, witness: Witness, fail: bool, seen: list[str]
) -> None:
    text = (
        "def work(fail):\n    '''Text.'''\n    if fail:\n        raise KeyError(1)\n    return 5\n"
    )
    work = play(
        library, witness, text, Edit("leave", "port.saw('out')"), Edit("entry", "port.saw('in')")
    )
    if fail:
        with pytest.raises(KeyError) as caught:
            work(fail)
        assert caught.value.__context__ is None
    else:
        assert work(fail) == 5
    assert witness.seen == seen
    assert work.__doc__ == "Text."


def test_leave_runs_when_a_coroutine_is_closed(library: Library, witness: Witness) -> None:
    text = "import asyncio\nasync def work():\n    await asyncio.sleep(0)\n"
    work = play(library, witness, text, Edit("leave", "port.saw('out')"))
    coro = work()
    coro.send(None)
    assert witness.seen == []
    coro.close()
    assert witness.seen == ["out"]


def test_inside_reaches_nested_functions_and_their_closure(
    library: Library, witness: Witness
) -> None:
    text = (
        "def work(outer):\n    kept = 5\n    def inner(n):\n        return n + kept\n"
        "    return inner\n"
    )
    work = play(
        library,
        witness,
        text,
        Edit("entry", "port.saw(n, kept)", inside="inner"),
        Edit("result", "port.result(value)"),
    )
    inner = work(1)
    assert witness.seen == [inner]
    assert inner(2) == 7
    assert witness.seen[1:] == [(2, 5)]
    assert inner.__qualname__ == "work.<locals>.inner"


def test_inside_may_name_variables_of_the_outer_function(
    library: Library, witness: Witness
) -> None:
    text = "def work(outer):\n    def inner():\n        return 1\n    return inner\n"
    work = play(library, witness, text, Edit("entry", "port.saw(outer)", inside="inner"))
    assert work("told")() == 1
    assert witness.seen == ["told"]


def test_several_calls_at_one_place_keep_their_order(library: Library, witness: Witness) -> None:
    text = "def work():\n    mark = 1\n    return mark\n"
    work = play(library, witness, text, Edit("after", "port.saw(1)\nport.saw(2)", "mark = 1"))
    work()
    assert witness.seen == [1, 2]


CLASS = """
class Box:
    __limit = 3

    def __init__(self):
        self.__content = []

    @property
    def size(self):
        return len(self.__content)

    def put(self, item):
        if self.size < self.__limit:
            self.__content.append(item)
        return self.__content
"""


def test_private_names_are_mangled_as_in_their_class(library: Library, witness: Witness) -> None:
    module = library(CLASS)
    weave(
        function(module, "Box.put"),
        witness,
        [
            Edit("after", "port.saw(self.__limit)", "self.__content.append"),
            Edit("entry", "port.saw(item)"),
        ],
    )
    box = module.Box()
    assert box.put("x") == ["x"]
    assert witness.seen == ["x", 3]


def test_zero_argument_super_works_in_woven_methods(library: Library, witness: Witness) -> None:
    module = library(
        "class Base:\n    def put(self, n):\n        return n\n"
        "class Child(Base):\n    def put(self, n):\n        return super().put(n) + 1\n"
    )
    weave(function(module, "Child.put"), witness, [Edit("result", "port.result(value)")])
    assert module.Child().put(1) == 2
    assert witness.seen == [2]


def test_coroutines_see_the_locals_of_each_call(library: Library, witness: Witness) -> None:
    text = (
        "import asyncio\n\n\nasync def work(n):\n"
        "    await asyncio.sleep(0)\n    n += 10\n    return n\n"
    )
    work = play(
        library,
        witness,
        text,
        Edit("entry", "port.saw('in', n)"),
        Edit("after", "port.saw('awake', n)", "await asyncio.sleep(0)"),
        Edit("result", "port.result(value)"),
    )

    async def main() -> list[int]:
        return list(await asyncio.gather(work(1), work(2)))

    assert asyncio.run(main()) == [11, 12]
    assert witness.seen == [("in", 1), ("in", 2), ("awake", 1), 11, ("awake", 2), 12]


def test_edits_see_comprehension_and_walrus_locals(library: Library, witness: Witness) -> None:
    text = (
        "def work(some):\n    total = sum(kept := [i * i for i in some])\n    return total, kept\n"
    )
    work = play(library, witness, text, Edit("after", "port.saw(kept)", "total = sum"))
    assert work([1, 2]) == (5, [1, 4])
    assert witness.seen == [[1, 4]]


def test_future_imports_of_the_library_stay_in_force(library: Library, witness: Witness) -> None:
    text = (
        "from __future__ import annotations\n\n\ndef work():\n"
        "    def inner(n: Unknown) -> Missing:\n        return n\n    return inner\n"
    )
    work = play(library, witness, text, Edit("entry", "port.saw('in')"))
    assert work().__annotations__ == {"n": "Unknown", "return": "Missing"}
