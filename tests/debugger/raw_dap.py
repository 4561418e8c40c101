"""A client that shares no code with ours: it sends what Visual Studio Code sends, byte for byte.

The messages follow the order of the Debug Adapter Protocol's specification (initialize, attach,
`initialized`, breakpoints, configurationDone) with the arguments that VS Code 1.9x fills in. Every
wait is bounded by the socket's timeout.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Self

LIMIT_S = 30.0


class EndOfSessionError(Exception):
    """The other side has closed the connection."""


class VisualStudioCode:
    """One debug session of an IDE."""

    def __init__(self, port: int, folder: str = "/") -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._received = b""
        self._seq = 0
        self._answers: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    # -- the wire --------------------------------------------------------------------------

    def send(self, command: str, arguments: dict[str, Any] | None = None) -> int:
        self._seq += 1
        message: dict[str, Any] = {"command": command, "type": "request", "seq": self._seq}
        if arguments is not None:
            message["arguments"] = arguments
        body = json.dumps(message, separators=(",", ":")).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._seq

    def _receive(self) -> None:
        """Read one message and file it."""
        while b"\r\n\r\n" not in self._received:
            self._read_more()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        length = int(head.partition(b":")[2])
        self._received = rest
        while len(self._received) < length:
            self._read_more()
        message = json.loads(self._received[:length])
        self._received = self._received[length:]
        if message["type"] == "response":
            self._answers[message["request_seq"]] = message
        else:
            self.events.append(message)

    def _read_more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EndOfSessionError
        self._received += data

    def answer(self, seq: int) -> dict[str, Any]:
        end = time.monotonic() + LIMIT_S
        while seq not in self._answers:
            assert time.monotonic() < end, f"no answer to request {seq}"
            self._receive()
        return self._answers.pop(seq)

    def ask(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.answer(self.send(command, arguments))
        assert answer["success"], answer
        body: dict[str, Any] = answer.get("body") or {}
        return body

    def event(self, name: str) -> dict[str, Any]:
        """Return the next event of a name, and forget those before it."""
        end = time.monotonic() + LIMIT_S
        while True:
            while self.events:
                message = self.events.pop(0)
                if message.get("event") == name:
                    body: dict[str, Any] = message.get("body") or {}
                    return body
            assert time.monotonic() < end, f"no event {name}"
            self._receive()

    # -- what a person does ------------------------------------------------------------------

    def attach(self, breakpoints: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
        """Press F5: attach with the breakpoints that are set in the editor; return them."""
        attached = self._begin()
        self.event("initialized")
        set_ = {
            path: self.ask(
                "setBreakpoints",
                {
                    "source": {"name": path.rpartition("/")[2], "path": path},
                    "lines": [entry["line"] for entry in entries],
                    "breakpoints": entries,
                    "sourceModified": False,
                },
            )["breakpoints"]
            for path, entries in breakpoints.items()
        }
        self.ask("setFunctionBreakpoints", {"breakpoints": []})
        self.ask("setExceptionBreakpoints", {"filters": ["uncaught"]})
        self.ask("configurationDone")
        assert self.answer(attached)["success"]
        self.ask("threads")
        return set_

    def attach_unless_busy(self) -> bool:
        """Attach without breakpoints; say whether nobody else was attached."""
        attached = self._begin()
        while all(message.get("event") != "initialized" for message in self.events):
            if attached in self._answers:
                assert "already being debugged" in self._answers[attached]["message"]
                return False
            self._receive()
        self.ask("configurationDone")
        return bool(self.answer(attached)["success"])

    def _begin(self) -> int:
        self.ask("initialize", INITIALIZE)
        return self.send("attach", ATTACH | {"workspaceFolder": self.folder})

    def stopped(self) -> dict[str, Any]:
        """Wait for a stop and load what the editor shows: stack, variables, a watch."""
        stop = self.event("stopped")
        self.ask("threads")
        thread = stop["threadId"]
        first = self.ask("stackTrace", {"threadId": thread, "startFrame": 0, "levels": 1})
        rest = self.ask("stackTrace", {"threadId": thread, "startFrame": 1, "levels": 19})
        frames = first["stackFrames"] + rest["stackFrames"]
        scopes = self.ask("scopes", {"frameId": frames[0]["id"]})["scopes"]
        found = self.ask("variables", {"variablesReference": scopes[0]["variablesReference"]})
        return {
            "reason": stop["reason"],
            "thread": thread,
            "frames": frames,
            "variables": {entry["name"]: entry["value"] for entry in found["variables"]},
        }

    def resume(self, thread: int) -> None:
        self.ask("continue", {"threadId": thread})

    def leave(self) -> None:
        """Press the red button, which disconnects after an attach."""
        self.ask("disconnect", {"restart": False, "terminateDebuggee": False})


INITIALIZE = {
    "clientID": "vscode",
    "clientName": "Visual Studio Code",
    "adapterID": "debugpy",
    "pathFormat": "path",
    "linesStartAt1": True,
    "columnsStartAt1": True,
    "supportsVariableType": True,
    "supportsVariablePaging": True,
    "supportsRunInTerminalRequest": True,
    "locale": "en",
    "supportsProgressReporting": True,
    "supportsInvalidatedEvent": True,
    "supportsMemoryReferences": True,
    "supportsArgsCanBeInterpretedByShell": True,
    "supportsMemoryEvent": True,
    "supportsStartDebuggingRequest": True,
    "supportsANSIStyling": True,
}
ATTACH = {
    "name": "Attach to asyncscope",
    "type": "debugpy",
    "request": "attach",
    "connect": {"host": "127.0.0.1", "port": 5678},
    "justMyCode": True,
    "__configurationTarget": 6,
    "clientOS": "unix",
    "debugOptions": ["RedirectOutput", "ShowReturnValue"],
    "showReturnValue": True,
    "__sessionId": "6f0a2b0e-2f3c-4c1e-9d5e-0b7a6f0c1d2e",
}
