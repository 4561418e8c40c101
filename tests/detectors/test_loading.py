"""Detectors are loaded when there is something for them to look at, and miss nothing."""

import _thread
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autoinstrument import detectors
from autoinstrument.config.schema import Settings
from autoinstrument.detectors import NEEDS, attach_all
from autoinstrument.findings import KINDS, FindingStore
from autoinstrument.trackers.moments import Moments
from autoinstrument.world import World
from tests.helpers import run_child

KIND = "coroutine_never_awaited"
MODULE = f"autoinstrument.detectors.{KIND}"


def new_world(said: list[str] | None = None) -> World:
    moments = Moments((said if said is not None else []).append)
    return World(Settings(), moments, FindingStore(frozenset(KINDS)))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a detector in the place of one that hears facts, loaded by `import_module`."""
    facts: list[Any] = []
    module = ModuleType(MODULE)
    module.attach = lambda world: world.moments.on("unawaited", facts.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    return facts


@pytest.mark.parametrize("kind", KINDS)
def test_needs_name_the_moments_of_each_detector(kind: str) -> None:
    world = new_world()
    module = import_module(f"autoinstrument.detectors.{kind}")
    attached = world.moments.collected(lambda: module.attach(world))
    assert set(attached) == set(NEEDS[kind])


def test_a_program_that_does_nothing_of_the_kind_loads_none(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        "import asyncio, sys\n"
        "from autoinstrument import watch\n"
        "watch._PERIOD_S = 60\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "print(*(name for name in sys.modules if '.detectors.' in name))\n"
    )
    child = run_child(program, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_EXPORTER": "none"})
    assert (child.status, child.out) == (0, "\n"), child.err


def test_the_first_fact_of_a_moment_is_judged(heard: list[Any]) -> None:
    world = new_world()
    attach_all(world, frozenset({KIND}))
    for number in range(3):
        world.moments.fire("unawaited", number)
    assert heard == [0, 1, 2]


def test_order_of_kinds_is_kept(heard: list[Any]) -> None:
    world = new_world()
    world.moments.on("unawaited", lambda _: heard.append("before"))
    attach_all(world, frozenset({KIND}))
    world.moments.on("unawaited", lambda _: heard.append("after"))
    for number in range(2):
        world.moments.fire("unawaited", number)
    assert heard == ["before", 0, "after", "before", 1, "after"]


def test_a_fact_that_comes_while_its_detector_is_loaded_is_judged(
    heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    module = sys.modules[MODULE]

    def load(name: str) -> ModuleType:
        world.moments.fire("unawaited", "from a finalizer")
        return module

    monkeypatch.setattr(detectors, "import_module", load)
    attach_all(world, frozenset({KIND}))
    world.moments.fire("unawaited", "first")
    assert heard == ["first", "from a finalizer"]


def test_other_threads_wait_for_a_detector_and_not_for_ever(
    heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    world = new_world(said)
    module, loading, go_on = sys.modules[MODULE], _thread.allocate_lock(), _thread.allocate_lock()
    loading.acquire()
    go_on.acquire()

    def load(name: str) -> ModuleType:
        loading.release()
        go_on.acquire(timeout=30)
        return module

    monkeypatch.setattr(detectors, "import_module", load)
    monkeypatch.setattr(detectors, "_LOADING_S", 0.01)
    attach_all(world, frozenset({KIND}))
    _thread.start_new_thread(world.moments.fire, ("unawaited", "first"))
    assert loading.acquire(timeout=30)
    world.moments.fire("unawaited", "second")
    assert [line.split(" (")[0] for line in said] == [f"{KIND} failed"]
    go_on.release()


def test_a_detector_that_cannot_be_loaded_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    world = new_world(said)

    def fails(name: str) -> ModuleType:
        raise ImportError("gone")

    monkeypatch.setattr(detectors, "import_module", fails)
    attach_all(world, frozenset({KIND}))
    world.moments.fire("unawaited", 1)
    world.moments.fire("unawaited", 2)
    assert len(said) == 1
    assert said[0].startswith(f"{KIND} failed (ImportError: gone")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Load detectors that check nothing, and name them."""
    names: list[str] = []

    def load(name: str) -> ModuleType:
        names.append(name)
        module = ModuleType(name)
        module.attach = lambda world: None  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(detectors, "import_module", load)
    return names


def test_the_rest_is_loaded_a_little_later_one_a_tick(loaded: list[str]) -> None:
    world = new_world()
    attach_all(world, frozenset(KINDS))
    counts = []
    for _ in range(70):
        world.moments.fire("tick", 0)
        counts.append(len(loaded))
    assert counts[39] == 0
    assert counts[40:44] == [1, 2, 3, 4]
    assert sorted(loaded) == sorted(f"autoinstrument.detectors.{kind}" for kind in KINDS)


def test_the_rest_waits_for_a_loop_that_computes_but_not_forever(loaded: list[str]) -> None:
    world = new_world()
    attach_all(world, frozenset(KINDS))
    world.looks.calm = False
    counts = []
    for _ in range(500):
        world.moments.fire("tick", 0)
        counts.append(len(loaded))
    assert counts[399] == 0
    assert counts[400:403] == [1, 2, 3]
    assert len(loaded) == len(KINDS)


def test_two_detectors_that_are_loaded_at_once_miss_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts: list[Any] = []
    name = "autoinstrument.detectors.cancellation_slow"
    module = ModuleType(name)

    def attach(world: World) -> None:
        world.moments.on("tick", facts.append)
        world.moments.on("cancel_requested", lambda *_: None)

    module.attach = attach  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    world = new_world()
    attach_all(world, frozenset({"cancellation_slow"}))
    before = world.moments._checks["tick"]
    world.moments.fire("cancel_requested", None, None)
    world.moments._checks["tick"] = before  # as another thread may write that has read it before
    world.moments.fire("tick", 7)
    assert facts == [7]


SLOWLY_LOADED = """
import asyncio, time
from autoinstrument import detectors

load = detectors.import_module

def slowly(name):
    if name.endswith("wait_never_resolved"):  # the last that is told of a request
        time.sleep(0.3)
    return load(name)

detectors.import_module = slowly

async def slow():
    try:
        await asyncio.sleep(9)
    finally:
        await asyncio.sleep(1.5)

async def stubborn():
    try:
        await asyncio.sleep(9)
    except asyncio.CancelledError:
        pass
    while True:
        await asyncio.sleep(0.3)

async def main():
    tasks = [asyncio.create_task(slow()), asyncio.create_task(stubborn())]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=2)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_cancellation_that_is_told_long_before_it_is_made_is_judged(tmp_path: Path) -> None:
    program, report = tmp_path / "app.py", tmp_path / "report.json"
    program.write_text(SLOWLY_LOADED)
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_REPORT": str(report)}
    assert run_child(program, env=env).status == 0
    found = {finding["kind"] for finding in json.loads(report.read_text())["findings"]}
    assert found >= {"cancellation_slow", "cancellation_swallowed"}
