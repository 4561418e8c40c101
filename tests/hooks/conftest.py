import os
from collections.abc import Callable, Iterator

import anyio
import pytest

from autoinstrument import agent as agents
from autoinstrument.agent import Agent
from tests.hooks.state import attributes, differences, interpreter, loaded

# Imported first, so that what they bring is there before and after.
for _library in ("anyio", "anyio._backends._asyncio", "uvloop"):
    __import__(_library)
for _name in dir(anyio):  # looked up when they are first used
    getattr(anyio, _name)

Install = Callable[[], Agent]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ASYNCSCOPE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ASYNCSCOPE_ROOT_PID", str(os.getpid()))
    assert agents.current() is None


@pytest.fixture
def install() -> Iterator[Install]:
    """Return a function that installs the agent; at the end nothing may be left of it."""
    modules = loaded()
    before = attributes(modules)
    interpreter_before = interpreter()

    def now() -> Agent:
        agent = agents.install()
        assert agent is not None
        return agent

    yield now
    agents.uninstall()
    assert differences(before, attributes(modules)) == []
    assert differences(interpreter_before, interpreter()) == []
