"""A fault in any hook, tracker, detector or sink: one line, that part off, the program goes on.

Everything is found by looking into the package, so that what is added is tried as well.
"""

import _thread
import asyncio
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ClassVar

import pytest

from autoinstrument import detectors, export, hooks, trackers
from autoinstrument.agent import Agent, say
from autoinstrument.config.schema import Settings
from autoinstrument.export.batch import Batch
from autoinstrument.export.exporters import SpanExport
from autoinstrument.export.recording import Recorder, read_recording
from autoinstrument.export.sinks import FileSink
from autoinstrument.hooks.ports import Port
from autoinstrument.hooks.task_ends import EndObserver
from autoinstrument.outlet import Outlet
from autoinstrument.trackers.moments import Moments
from tests.export.test_sampling import pipeline
from tests.export.test_sending import some_work
from tests.hooks.conftest import Install, _no_settings, install  # noqa: F401 - fixtures
from tests.hooks.test_failures import everything

OFF = "is switched off; the program is not affected"


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{found.name}")


def classes_of(package: ModuleType) -> Iterator[type]:
    for module in modules_of(package):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


def public_methods(holder: type) -> list[str]:
    return [
        name
        for name, value in vars(holder).items()
        if isinstance(value, FunctionType) and not name.startswith("_")
    ]


# -- hooks -----------------------------------------------------------------------------------

PORTS = [holder for holder in classes_of(hooks) if issubclass(holder, Port) and holder is not Port]
OBSERVATIONS = [(holder, name) for holder in PORTS for name in public_methods(holder)]


class Poisoned:
    """An argument of which nothing can be asked."""

    def __getattribute__(self, name: str) -> Any:
        raise LookupError("broken on purpose")


@pytest.mark.parametrize(
    ("holder", "name"), OBSERVATIONS, ids=[f"{h.__name__}.{n}" for h, n in OBSERVATIONS]
)
def test_observation_that_fails_is_off_and_raises_nothing(holder: type[Port], name: str) -> None:
    failures: list[str] = []
    port = holder.__new__(holder)  # without its trackers
    Port.__init__(port, lambda part, exc: failures.append(part))
    observation = getattr(port, name)
    count = len(inspect.signature(observation).parameters)
    facts = [Poisoned() for _ in range(count)]
    answer = observation(*facts)
    assert answer is None or answer is facts[0]  # what the library goes on with
    assert len(failures) <= 1
    if failures:
        assert failures == [f"{holder.part}.{name}"]
        assert getattr(port, name) != observation
        assert getattr(port, name)(*facts) in ({None, facts[0]} if count else {None})
        assert len(failures) == 1


def test_most_observations_were_made_to_fail() -> None:
    """The test above proves nothing for an observation that got by without its tracker."""
    failing = set()
    for holder, name in OBSERVATIONS:
        port = holder.__new__(holder)
        Port.__init__(port, lambda part, exc: failing.add(part))
        observation = getattr(port, name)
        observation(*[Poisoned() for _ in inspect.signature(observation).parameters])
    assert len(PORTS) >= 10
    assert len(failing) >= 0.9 * len(OBSERVATIONS)


# -- trackers --------------------------------------------------------------------------------

TRACKERS = [
    (holder, name)
    for holder in classes_of(trackers)
    if holder.__name__.endswith("Tracker")
    for name in public_methods(holder)
]


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return asyncio.run(everything())


@pytest.mark.slow
@pytest.mark.parametrize("method", TRACKERS, ids=[f"{h.__name__}.{n}" for h, n in TRACKERS])
def test_tracker_that_fails_does_not_reach_the_program(
    install: Install,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    expected: list[Any],
    method: tuple[type, str],
) -> None:
    holder, name = method
    calls = []

    def broken(*_: Any, **__: Any) -> Any:
        calls.append(1)
        raise LookupError("broken on purpose")

    monkeypatch.setattr(holder, name, broken)
    install()
    assert asyncio.run(everything()) == expected
    lines = [line for line in capsys.readouterr().err.splitlines() if "hook-unverified" not in line]
    assert len(lines) == len(set(lines))
    for line in lines:
        assert line.startswith("asyncscope: ")
        assert "LookupError: broken on purpose at " in line
        assert line.endswith(OFF)
    assert bool(lines) == bool(calls)


@pytest.mark.asyncio
async def test_observer_of_ends_is_off_after_a_fault() -> None:
    said: list[str] = []
    asked: list[str] = []

    class Broken:
        roots: ClassVar[dict[int, Any]] = {}
        scheduled_cancels: ClassVar[dict[int, Any]] = {}
        task_ended = None

        def __init__(self) -> None:
            self.live = self

        def get(self, key: int) -> Any:
            asked.append("live")
            raise LookupError("broken on purpose")

        def current(self) -> Any:
            asked.append("current")
            raise LookupError("broken on purpose")

        def running_root(self, code: Any) -> Any:
            raise AssertionError("ends are off by then")

    tasks: Any = Broken()
    observer = EndObserver(tasks, Moments(said.append), lambda part, exc: said.append(part))
    code = Broken.get.__code__
    observer.roots[id(code)] = code
    for _ in range(3):
        observer.returned(code, 0, None)
        observer.unwound(code, 0, KeyError())
        observer.unwound(code, 0, RuntimeError("attached to a different loop"))
        observer.thrown(code, 0, RuntimeError("attached to a different loop"))
        observer.unwound(code, 0, SystemExit(1))
    assert asked == ["live", "current"]
    assert said == ["task ends", "errors"]


# -- detectors -------------------------------------------------------------------------------


@pytest.mark.slow
def test_detectors_that_all_fail_are_all_off(
    install: Install,  # noqa: F811 - the fixture
    capsys: pytest.CaptureFixture[str],
    expected: list[Any],
) -> None:
    agent = install()
    for _ in range(100):
        agent.moments.fire("tick", 0)  # so that all are loaded
    calls: list[str] = []
    by_check: Counter[Any] = Counter()

    def broken(check: Any) -> Any:
        def raises(*_: Any) -> None:
            calls.append(check.__module__)
            by_check[raises] += 1
            raise LookupError("broken on purpose")

        raises.__module__ = check.__module__
        return raises

    names = {module.__name__ for module in modules_of(detectors) if hasattr(module, "KIND")}
    seen: set[str] = set()
    for moment, checks in agent.moments._checks.items():
        ours = [check for check in checks if check.__module__ in names]
        seen |= {check.__module__ for check in ours}
        agent.moments._checks[moment] = tuple(
            broken(check) if check in ours else check for check in checks
        )
    assert seen == names, "a detector without a check"
    assert asyncio.run(everything()) == expected
    agent.moments.fire("exit")
    lines = [line for line in capsys.readouterr().err.splitlines() if OFF in line]
    assert len(lines) == len(set(calls))
    assert {line.split()[1] for line in lines} == {name.rsplit(".", 1)[-1] for name in calls}
    assert asyncio.run(everything()) == expected
    agent.moments.fire("exit")
    assert set(by_check.values()) == {1}  # some may come for the first time in the second run


# -- sinks -----------------------------------------------------------------------------------


def sink_methods() -> list[tuple[type, str]]:
    return [
        (holder, name)
        for holder in classes_of(export)
        if "write" in public_methods(holder) and not getattr(holder, "_is_protocol", False)
        for name in public_methods(holder)
    ]


SINKS = sink_methods()


@pytest.mark.parametrize(("holder", "name"), SINKS, ids=[f"{h.__name__}.{n}" for h, n in SINKS])
def test_sink_that_fails_is_off_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holder: type, name: str
) -> None:
    said: list[str] = []
    sound = FileSink(str(tmp_path / "spans.jsonl"), {}, said.append)
    broken: Any = object.__new__(holder)

    def raises(*_: Any) -> Any:
        raise LookupError("broken on purpose")

    for method in public_methods(holder):
        monkeypatch.setattr(broken, method, lambda *_: {})
    monkeypatch.setattr(broken, name, raises)
    exporter = SpanExport([broken, sound], pipeline(1000), {}, {}, said.append)
    exporter.load()
    for _ in range(2):
        exporter.drain(some_work())
        exporter.statistics()
        exporter.before_fork()
    exporter.finish(some_work(), Batch(), 1.0)
    assert len(said) == 1
    assert said[0].endswith("(LookupError: broken on purpose) and " + OFF)
    assert exporter.statistics()["exported"] > 0
    assert (tmp_path / "spans.jsonl").read_text().count("\n") == 3


@pytest.mark.parametrize("name", [*public_methods(SpanExport), *public_methods(Outlet)])
@pytest.mark.slow
def test_failing_export_takes_nothing_else_with_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise LookupError("broken on purpose")

    holder: type = SpanExport if name in vars(SpanExport) else Outlet
    if name != "span_context":  # asked for by the program's spans alone
        monkeypatch.setattr(holder, name, broken)
    settings = {
        "exporter": "file",
        "file": str(tmp_path / "spans.jsonl"),
        "record": str(tmp_path / "run.jsonl"),
        "report": str(tmp_path / "report.json"),
    }
    agent = Agent(Settings(**settings), [])
    agent.outlet = Outlet.for_settings(agent.settings, agent.world, say, agent.moments.failed)
    assert agent.outlet is not None
    agent.watch.drains = {"export": agent.outlet.drain, "recording": agent._record}
    for _ in range(2):
        agent.watch._drain()
    agent.before_fork()
    agent.after_fork_in_parent()
    agent.finish()
    text = capsys.readouterr().err
    assert text.count("broken on purpose") <= 1
    assert "Traceback" not in text
    assert (tmp_path / "report.json").exists()
    assert read_recording(tmp_path / "run.jsonl").ended


@pytest.mark.parametrize("name", public_methods(Recorder))
def test_failing_recording_takes_nothing_else_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("broken on purpose")

    monkeypatch.setattr(Recorder, name, broken)
    path = tmp_path / "report.json"
    agent = Agent(Settings(record=str(tmp_path / "run.jsonl"), report=str(path)), [])
    ticks: list[int] = []
    agent.watch.drains = {"recording": agent._record, "other": lambda: ticks.append(1)}
    for _ in range(3):
        agent.watch._drain()
    agent.finish()
    assert ticks == [1, 1, 1]
    assert path.exists()
    assert capsys.readouterr().err.count("broken on purpose") == 1


def test_exporters_that_cannot_be_made_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autoinstrument.export import exporters

    def broken(*_: Any) -> Any:
        raise ImportError("broken on purpose")

    said: list[str] = []
    monkeypatch.setattr(exporters, "make_exporters", broken)
    outlet = Outlet.__new__(Outlet)
    outlet._on, outlet._made, outlet._settings = True, None, None  # type: ignore[assignment]
    outlet._forking, outlet._making, outlet._traces = False, _thread.allocate_lock(), None  # type: ignore[assignment]
    outlet._draining = _thread.allocate_lock()
    outlet._say, outlet._failed = said.append, lambda part, exc: said.append(part)
    outlet._collector = type("Nothing", (), {"batch": lambda _: Batch()})()
    outlet.drain()
    outlet.drain()
    assert said == ["export"]
    assert outlet.finish() == []
