"""Stops on findings, and an IDE that is not ours."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from autoinstrument.debugger.break_on import BreakOn, stop_in_user_frame, user_frame
from autoinstrument.debugger.client import AsyncDebugClient

from .conftest import Debuggee, child_environment, start_debuggee, stop_process

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import asyncio, sys, types
from autoinstrument.debugger.break_on import BreakOn

rule = BreakOn(["cross_task_scope_exit"], interval_s=0.3)

# A hook of ours: a module inside the package calls the rule with its own frame.
hook = types.ModuleType("autoinstrument.hooks.pretended")
hook.__dict__.update(rule=rule, sys=sys)
exec('''
def found(kind):
    return rule.found(kind, sys._getframe())
''', hook.__dict__)

async def leave(n):
    result = hook.found("cross_task_scope_exit")   # LINE call
    after = n                                      # LINE after
    return result

async def harmless():
    return hook.found("task_leaked")

async def main():
    n = 0
    while True:
        n += 1
        await leave(n)
        await harmless()
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_without_a_client_nothing_happens() -> None:
    rule = BreakOn(["any"])
    started = time.perf_counter()
    for _ in range(1000):
        assert not stop_in_user_frame(sys._getframe())
        assert not rule.found("task_leaked", sys._getframe())
    assert time.perf_counter() - started < 0.5
    assert rule.stops == 0


def test_user_frame_is_the_first_that_is_not_ours() -> None:
    assert user_frame(sys._getframe()) is sys._getframe()
    assert user_frame(None) is None
    names: dict[str, Any] = {"__name__": "autoinstrument.x", "sys": sys}
    exec("def inner(): return sys._getframe()", names)
    frame = names["inner"]()
    assert user_frame(frame) is None or user_frame(frame) is not frame


def test_kinds_come_as_text_and_the_interval_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "debug_config.yaml"
    path.write_text("breakpoints:\n  break_on_interval_s: 2\n")
    rule = BreakOn.from_text("lock_deadlock, any", str(path))
    assert rule.kinds == {"lock_deadlock", "any"}
    assert rule.interval_s == 2
    assert BreakOn.from_text("").kinds == frozenset()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_finding_stops_in_the_users_frame_at_a_limited_rate(tmp_path: Path) -> None:
    debuggee = start_debuggee(tmp_path / "program.py", PROGRAM)
    try:
        async with AsyncDebugClient("127.0.0.1", debuggee.port) as client:
            times = []
            for _ in range(3):
                await client.wait_stopped(10)
                times.append(time.monotonic())
                frames = await client.stack_trace()
                assert frames[0].name == "leave"
                assert frames[0].line in (debuggee.line("call"), debuggee.line("after"))
                assert not any("autoinstrument" in frame.path for frame in frames)
                await client.continue_()
            assert all(b - a > 0.2 for a, b in itertools.pairwise(times))
            counts = await client.evaluate(
                "[__import__('__main__').rule.stops, __import__('__main__').rule.suppressed]"
            )
            stops, suppressed = json.loads(counts.result)
            assert stops == 3
            assert suppressed > 3
    finally:
        stop_process(debuggee.process)


class RawIde:
    """Plain sockets and JSON, in the order in which an IDE sends its requests."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.file = self.sock.makefile("rb")
        self.seq = 0
        self.events: list[dict[str, Any]] = []
        self.answers: dict[int, dict[str, Any]] = {}

    def send(self, command: str, arguments: dict[str, Any] | None = None) -> int:
        self.seq += 1
        message = {"seq": self.seq, "type": "request", "command": command}
        body = json.dumps(message | ({"arguments": arguments} if arguments else {})).encode()
        self.sock.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self.seq

    def read(self) -> None:
        length = 0
        while line := self.file.readline().strip():
            length = int(line.split(b":")[1])
        message = json.loads(self.file.read(length))
        if message["type"] == "event":
            self.events.append(message)
        else:
            self.answers[message["request_seq"]] = message

    def event(self, name: str) -> dict[str, Any]:
        while True:
            for found in self.events:
                if found["event"] == name:
                    self.events.remove(found)
                    return found
            self.read()

    def answer(self, seq: int) -> dict[str, Any]:
        while seq not in self.answers:
            self.read()
        assert self.answers[seq]["success"], self.answers[seq]
        body = self.answers[seq].get("body", {})
        assert isinstance(body, dict)
        return body


@pytest.mark.slow
def test_client_that_is_not_ours_attaches_to_our_port(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import asyncio
            from autoinstrument.debugger.server import DebugpyServer

            async def main():
                n = 0
                await asyncio.sleep(0)
                print("PORT", DebugpyServer().start()[1], flush=True)
                while True:
                    await asyncio.sleep(0.01)
                    n += 1                     # LINE loop
            asyncio.run(main())
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[1])
        line = Debuggee(process, program, port).line("loop")
        ide = RawIde(port)
        ide.answer(ide.send("initialize", {"clientID": "vscode", "adapterID": "debugpy"}))
        attach = ide.send("attach", {"name": "x", "type": "debugpy", "request": "attach"})
        ide.event("initialized")
        source = {"path": str(program)}
        points = ide.send("setBreakpoints", {"source": source, "breakpoints": [{"line": line}]})
        assert ide.answer(points)["breakpoints"][0]["verified"]
        ide.answer(ide.send("setExceptionBreakpoints", {"filters": ["uncaught"]}))
        ide.answer(ide.send("configurationDone"))
        ide.answer(attach)
        # The coroutine was parked in its loop when the breakpoint was set.
        stopped = ide.event("stopped")["body"]
        assert stopped["reason"] == "breakpoint"
        stack = ide.answer(ide.send("stackTrace", {"threadId": stopped["threadId"]}))
        frame = stack["stackFrames"][0]
        assert (frame["name"], frame["line"]) == ("main", line)
        value = ide.answer(ide.send("evaluate", {"expression": "n", "frameId": frame["id"]}))
        assert value["result"].isdigit()
        ide.answer(ide.send("continue", {"threadId": stopped["threadId"]}))
        ide.event("stopped")
        ide.answer(ide.send("disconnect", {"restart": False, "terminateDebuggee": False}))
        ide.file.close()
        ide.sock.close()

        async def still_runs() -> None:
            async with AsyncDebugClient("127.0.0.1", port) as client:
                assert await client.async_tasks()

        asyncio.run(still_runs())
        assert process.poll() is None
    finally:
        stop_process(process)
