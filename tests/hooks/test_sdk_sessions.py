"""Sessions of SDKs are counted without the program's help."""

import json
from pathlib import Path

import pytest

from tests.helpers import run_child

MCP = """
import asyncio, json
from autoinstrument.agent import install
from mcp.server.lowlevel import Server
from mcp.shared.memory import create_connected_server_and_client_session as connected

sessions = install().world.sessions

async def main():
    async with connected(Server("x")) as session:
        during = sorted(session.name for session in sessions.open.values())
    print(json.dumps([during, sessions.statistics()]))

asyncio.run(main())
"""

CLAUDE = """
import asyncio, json
import claude_agent_sdk
from autoinstrument.agent import install

sessions = install().world.sessions
during = []

class Unreachable(claude_agent_sdk.Transport):
    async def connect(self):
        during.extend(session.name for session in sessions.open.values())
        raise OSError("no command line")

    async def close(self): ...
    async def end_input(self): ...
    async def write(self, data): ...
    def is_ready(self): return False
    def read_messages(self): ...

async def main():
    for attempt in (
        anext(claude_agent_sdk.query(prompt="x", transport=Unreachable())),
        claude_agent_sdk.ClaudeSDKClient(transport=Unreachable()).connect(),
    ):
        try:
            await attempt
        except OSError:
            pass
    print(json.dumps([during, sessions.statistics()]))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "program", "names"),
    [
        ("mcp", MCP, ["mcp.ClientSession", "mcp.ServerSession"]),
        (
            "claude_agent_sdk",
            CLAUDE,
            ["claude_agent_sdk.query", "claude_agent_sdk.ClaudeSDKClient"],
        ),
    ],
    ids=["mcp", "claude_agent_sdk"],
)
def test_sessions_are_counted(tmp_path: Path, package: str, program: str, names: list[str]) -> None:
    pytest.importorskip(package)
    path = tmp_path / "program.py"
    path.write_text(program)
    child = run_child(path, env={"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"})
    assert child.status == 0, child.err
    assert "hook-unverified" not in child.err
    assert json.loads(child.out) == [names, {"opened": 2, "open": 0}]
