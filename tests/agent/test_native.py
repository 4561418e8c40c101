"""Threads, locks and flags that no library replaces."""

import _thread
import sys
import time
from types import ModuleType
from typing import Any

import pytest

from autoinstrument.native import Flag, _original, start_new_thread


def test_original_is_taken_where_gevent_has_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Any = object()
    monkey: Any = ModuleType("gevent.monkey")
    monkey.get_original = lambda module, name: {("_thread", "get_ident"): ours}[module, name]
    assert _original(_thread, "get_ident") is _thread.get_ident
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    assert _original(_thread, "get_ident") is ours
    assert _original(_thread, "allocate_lock") is _thread.allocate_lock  # it says no


def test_flag_is_seen_once_up_and_waits_again_once_down() -> None:
    flag = Flag()
    assert not flag.wait(0.01)
    flag.set()
    flag.set()
    assert flag.is_set()
    assert flag.wait()
    flag.clear()
    begin = time.monotonic()
    assert not flag.wait(0.05)  # though a set is left that nobody has waited for
    assert time.monotonic() - begin >= 0.04


def test_flag_wakes_a_thread_that_waits() -> None:
    asked, answered = Flag(), Flag()

    def answers() -> None:
        for _ in range(100):
            asked.wait()
            asked.clear()
            answered.set()

    start_new_thread(answers, ())
    for _ in range(100):
        asked.set()
        assert answered.wait(20)
        answered.clear()
