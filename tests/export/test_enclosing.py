"""Which scope lies around which, for spans."""

import time

from autoinstrument.export.scopes import enclosing

from .play import Play


def test_scope_lies_in_the_innermost_one_of_its_task() -> None:
    play = Play()
    play.task("main")
    play.task("other")
    outer = play.scope("outer", "main", 0, 100)
    play.scope("foreign", "other", 1, 200)
    inner = play.scope("inner", "main", 2, 90)
    first = play.scope("first", "main", 3, 4)
    second = play.scope("second", "main", 5, 6)

    around = enclosing([first, second, inner, outer])

    assert around == {inner.serial: outer, first.serial: inner, second.serial: inner}


def test_open_scope_of_the_owner_lies_around_what_was_left() -> None:
    play = Play()
    play.task("main")
    still_open = play.scope("open", "main", 0)
    left = play.scope("left", "main", 1, 2)

    assert enclosing([left]) == {left.serial: still_open}


def test_scope_that_outlasts_the_one_before_it_is_not_inside() -> None:
    play = Play()
    play.task("main")
    one = play.scope("one", "main", 0, 10)
    crossing = play.scope("crossing", "main", 5, 20)
    inside = play.scope("inside", "main", 6, 15)
    late = play.scope("late", "main", 7)

    assert enclosing([inside, crossing, one, late]) == {inside.serial: crossing}


def test_work_grows_with_the_scopes_of_a_task_and_not_with_their_square() -> None:
    play = Play()
    play.task("main")
    many = [play.scope("timeout", "main", number, number + 1) for number in range(20_000)]

    began = time.process_time()
    enclosing(many)

    assert time.process_time() - began < 5  # a square takes half a minute
