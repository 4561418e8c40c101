"""What a program sees of asyncio is the same with the agent installed."""

import asyncio
import gc
import inspect
import warnings
from collections.abc import Callable, Coroutine, Mapping
from types import ModuleType
from typing import Any

import anyio
import pytest
import uvloop

from autoinstrument.agent import current, uninstall
from autoinstrument.hooks.patching import Patches
from tests.helpers import ROOT
from tests.hooks import (
    probes_anyio,
    probes_process,  # noqa: F401 - fills the table
)
from tests.hooks.conftest import Install
from tests.hooks.probes import PROBES, Run


def on_asyncio(coro: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coro)


def on_asyncio_debug(coro: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coro, debug=True)


def on_uvloop(coro: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coro)


def on_eager_tasks(coro: Coroutine[Any, Any, Any]) -> Any:
    def factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        return loop

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coro)


BACKENDS: dict[str, Run] = {
    "asyncio": on_asyncio,
    "debug": on_asyncio_debug,
    "uvloop": on_uvloop,
    **({"eager": on_eager_tasks} if hasattr(asyncio, "eager_task_factory") else {}),
}


def seen(probe: Callable[[Run], Any], run: Run) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return probe(run)
        except Exception as error:  # of the probe on this backend: it has to be the same
            return type(error).__name__, str(error)


SEEN_ON_UVLOOP = pytest.mark.xfail(
    reason="uvloop's methods are compiled: ours stands in their place and in a traceback",
    strict=True,
)


def marks(probe: Callable[..., Any]) -> list[pytest.MarkDecorator]:
    """Return `slow` for a probe that runs the collector, which is slow in a big process."""
    return [pytest.mark.slow] if "collect" in inspect.getsource(probe) else []


def cases() -> list[Any]:
    found = []
    for name, probe in PROBES.items():
        for backend in BACKENDS:
            own = marks(probe)
            if (name, backend) == ("factory_that_fails", "uvloop"):
                own.append(SEEN_ON_UVLOOP)
            found.append(pytest.param(name, backend, id=f"{name}-{backend}", marks=own))
    return found


def names(probes: Mapping[str, Callable[..., Any]]) -> list[Any]:
    return [pytest.param(name, id=name, marks=marks(probe)) for name, probe in probes.items()]


def test_library_that_is_hooked_is_named_in_the_document(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked = set()
    when_imported = Patches.when_imported

    def noted(self: Patches, module: str, hook: Callable[[ModuleType], None]) -> None:
        hooked.add(module.partition(".")[0])
        when_imported(self, module, hook)

    monkeypatch.setattr(Patches, "when_imported", noted)
    install()
    text = (ROOT / "docs" / "transparency.md").read_text(encoding="utf-8")
    assert {"anyio", "uvicorn", "mcp"} <= hooked
    assert [library for library in sorted(hooked) if f"`{library}" not in text] == []


@pytest.mark.parametrize(("name", "backend"), cases())
def test_program_sees_the_same(install: Install, name: str, backend: str) -> None:
    results = []
    for prepare in (gc.collect, install):  # one line for both: tracebacks may show it
        prepare()
        results.append(seen(PROBES[name], BACKENDS[backend]))
    before, after = results
    assert after == before
    agent = current()
    assert agent is not None
    assert agent.world.tasks.created > 0
    assert agent.moments._failed == set()


@pytest.mark.parametrize("name", names(PROBES))
def test_program_sees_the_same_afterwards(install: Install, name: str) -> None:
    def come_and_go() -> None:
        install()
        asyncio.run(asyncio.sleep(0))
        uninstall()

    results = []
    for prepare in (gc.collect, come_and_go):
        prepare()
        results.append(seen(PROBES[name], on_asyncio))
    assert results[1] == results[0]


@pytest.mark.parametrize("options", [{}, {"debug": True}, {"use_uvloop": True}], ids=str)
@pytest.mark.parametrize("name", names(probes_anyio.PROBES))
def test_program_sees_the_same_of_anyio(
    install: Install, name: str, options: dict[str, Any]
) -> None:
    def seen_by_anyio(_: Run) -> Any:
        return anyio.run(probes_anyio.PROBES[name], backend_options=options)

    results = []
    for prepare in (gc.collect, install):
        prepare()
        results.append(seen(seen_by_anyio, on_asyncio))
    assert results[1] == results[0]
    agent = current()
    assert agent is not None
    assert agent.moments._failed == set()
