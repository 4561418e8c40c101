"""The one tool of `sys.monitoring` that the agent takes, and gives back."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstrument import agent as agents
from autoinstrument.hooks import monitoring
from tests.helpers import run_child
from tests.hooks.conftest import Install

events_of: Any = getattr(sys, "monitoring", None)
pytestmark = pytest.mark.skipif(events_of is None, reason="sys.monitoring is new in Python 3.12")


def test_nothing_is_monitored_afterwards(install: Install) -> None:
    install()
    asyncio.run(asyncio.sleep(0))
    number = monitoring.tool()
    assert number is not None
    agents.uninstall()
    assert events_of.get_tool(number) is None
    events_of.use_tool_id(number, "another")
    try:
        events = events_of.events
        assert events_of.get_events(number) == 0
        for event in (events.CALL, events.PY_START, events.PY_RETURN, events.PY_UNWIND):
            assert events_of.register_callback(number, event, None) is None
    finally:
        events_of.free_tool_id(number)


def test_tools_of_others_are_left_alone(install: Install) -> None:
    seen = []
    events_of.use_tool_id(5, "another")
    try:
        events = events_of.events
        events_of.register_callback(5, events.PY_START, lambda code, _: seen.append(code.co_name))
        events_of.set_events(5, events.PY_START)
        agent = install()
        asyncio.run(asyncio.sleep(0))
        assert monitoring.tool() == 4
        assert agent.world.tasks.created > 0
        agents.uninstall()
        assert events_of.get_tool(5) == "another"
        assert events_of.get_events(5) == events.PY_START
        assert "run_until_complete" in seen
    finally:
        events_of.set_events(5, 0)
        events_of.register_callback(5, events.PY_START, None)
        events_of.free_tool_id(5)


def test_without_a_free_tool_the_rest_works(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = [n for n in (3, 4, 5) if events_of.get_tool(n) is None]
    for number in taken:
        events_of.use_tool_id(number, "another")
    try:
        agent = install()
        asyncio.run(asyncio.sleep(0))
        assert agent.world.tasks.created > 0
        assert "no free sys.monitoring tool" in capsys.readouterr().err
        agents.uninstall()
    finally:
        for number in taken:
            events_of.free_tool_id(number)


class Odd:
    """Something that can be called, with a name that cannot be asked for or looked up."""

    def __init__(self, name: Any) -> None:
        self.name = name

    @property
    def __name__(self) -> Any:
        if isinstance(self.name, Exception):
            raise self.name
        return self.name

    def __call__(self) -> str:
        return "called"


@pytest.mark.parametrize("name", [[], ValueError("no name")])
def test_program_may_call_anything_beside_a_cancel(
    install: Install, capsys: pytest.CaptureFixture[str], name: Any
) -> None:
    async def main() -> str:
        task = asyncio.create_task(asyncio.sleep(9))
        answer = Odd(name)()
        task.cancel()
        return answer

    install()
    assert asyncio.run(main()) == "called"
    assert capsys.readouterr().err == ""


ASK = """
import asyncio, sys
from autoinstrument.hooks import monitoring

def asked():
    event = sys.monitoring.events.PY_THROW
    callback = sys.monitoring.register_callback(monitoring.tool(), event, None)
    sys.monitoring.register_callback(monitoring.tool(), event, callback)
    return callback is not None

async def main():
    seen = [asked()]
    {happens}
    print([*seen, asked()])

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        ("await asyncio.sleep(0)", [False, False]),
        ("asyncio.new_event_loop().close()", [False, True]),
        ("asyncio.get_running_loop().call_later(9, asyncio.current_task().cancel)", [False, True]),
    ],
    ids=["one loop", "a second loop", "a cancellation handed to the loop"],
)
def test_throws_are_looked_at_only_when_they_can_tell_something(
    tmp_path: Path, happens: str, expected: list[bool]
) -> None:
    path = tmp_path / "program.py"
    path.write_text(ASK.replace("{happens}", happens))
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"})
    assert (child.status, child.out.strip()) == (0, str(expected)), child.err
