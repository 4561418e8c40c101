"""The Debug Adapter Protocol without any input or output.

Theory of operation. `DapConnection` turns requests into bytes and bytes into messages, and knows
where in the handshake the two sides are. It never touches a socket, a clock or a loop: whoever owns
one feeds `receive` and writes what `request` returns. The handshake of debugpy, with the step that
surprises everybody (the answer to `attach` comes last):

    initialize ->            <- answer            GREETED
    attach     ->            <- "initialized"     CONFIGURING   (set*Breakpoints belong here)
    configurationDone ->     <- answers to configurationDone and to attach, in any order   READY
    disconnect ->            <- "terminated", answer, end of stream                        CLOSED

A pydevd that is spoken to directly answers `attach` before "initialized"; both orders are accepted.
Specification: https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Final

from .errors import DapProtocolError, DapStateError

JsonObject = dict[str, object]

MAX_HEADER_BYTES: Final = 8 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_FORGOTTEN: Final = 256


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ours on the way out or the peer's (a "reverse request") on the way in."""

    seq: int
    command: str
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer to a request of ours.

    Attributes:
        late: The request had been given up (`DapConnection.forget`); nobody waits for this.
    """

    request_seq: int
    command: str
    success: bool
    body: JsonObject = field(default_factory=dict)
    message: str = ""
    late: bool = False

    def error_text(self) -> str:
        """Return the most telling text of a failed answer."""
        detail = self.body.get("error")
        if isinstance(detail, dict) and isinstance(detail.get("format"), str):
            return str(detail["format"])
        return self.message or "no reason given"


@dataclass(frozen=True, slots=True)
class Event:
    """Something the debugger tells unasked."""

    event: str
    body: JsonObject = field(default_factory=dict)


Message = Request | Response | Event


class Phase(enum.Enum):
    """Where a connection is in its life."""

    NEW = "new"
    GREETING = "greeting"
    GREETED = "greeted"
    ATTACHING = "attaching"
    CONFIGURING = "configuring"
    FINISHING = "finishing"
    READY = "ready"
    FAILED = "failed"
    LEAVING = "leaving"
    CLOSED = "closed"


_SETTERS: Final = frozenset(
    {
        "setBreakpoints",
        "setFunctionBreakpoints",
        "setExceptionBreakpoints",
        "setDebuggerProperty",
        "configurationDone",
        "threads",
        "evaluate",
    }
)
# What may be asked in which phase; READY allows everything but the handshake itself.
_ALLOWED: Final[dict[Phase, frozenset[str]]] = {
    Phase.NEW: frozenset({"initialize", "pydevdAuthorize"}),
    Phase.GREETING: frozenset(),
    Phase.GREETED: frozenset({"attach", "launch", "disconnect", "pydevdAuthorize"}),
    Phase.ATTACHING: frozenset({"disconnect"}),
    Phase.CONFIGURING: _SETTERS | {"disconnect"},
    Phase.FINISHING: frozenset({"disconnect"}),
    Phase.FAILED: frozenset({"disconnect"}),
    Phase.LEAVING: frozenset(),
    Phase.CLOSED: frozenset(),
}
_HANDSHAKE: Final = frozenset({"initialize", "attach", "launch", "configurationDone"})
_ON_SEND: Final = {
    "initialize": Phase.GREETING,
    "attach": Phase.ATTACHING,
    "launch": Phase.ATTACHING,
    "configurationDone": Phase.FINISHING,
    "disconnect": Phase.LEAVING,
}


def encode(message: JsonObject) -> bytes:
    """Return the message as it goes over the wire."""
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


class FrameDecoder:
    """Cuts a byte stream into JSON objects, whatever the pieces it arrives in."""

    def __init__(self, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """Refuse bodies larger than `max_body_bytes`."""
        self._buffer = bytearray()
        self._max_body_bytes = max_body_bytes
        self._body_bytes: int | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes received that do not make a whole message yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[JsonObject]:
        """Take bytes and return the messages they complete.

        Raises:
            DapProtocolError: the stream is not the protocol; the decoder is useless afterwards.
        """
        self._buffer += data
        messages: list[JsonObject] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> JsonObject | None:
        if self._body_bytes is None:
            self._body_bytes = self._take_header()
        if self._body_bytes is None or len(self._buffer) < self._body_bytes:
            return None
        body = bytes(self._buffer[: self._body_bytes])
        del self._buffer[: self._body_bytes]
        self._body_bytes = None
        return _parse_body(body)

    def _take_header(self) -> int | None:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEADER_BYTES + 4)
        if end < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise DapProtocolError(f"no end of header within {MAX_HEADER_BYTES} bytes")
            return None
        header = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        length = _content_length(header)
        if length > self._max_body_bytes:
            raise DapProtocolError(
                f"message of {length} bytes exceeds the limit of {self._max_body_bytes}"
            )
        return length


def _content_length(header: bytes) -> int:
    for line in header.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            raise DapProtocolError(f"not a header line: {line[:60]!r}")
        if name.strip().lower() == b"content-length":
            if not value.strip().isdigit():
                raise DapProtocolError(f"Content-Length is not a number: {value[:60]!r}")
            return int(value)
    raise DapProtocolError(f"header without Content-Length: {header[:60]!r}")


def _parse_body(body: bytes) -> JsonObject:
    try:
        message = json.loads(body)
    except ValueError as exc:
        raise DapProtocolError(f"body is not JSON: {body[:60]!r}") from exc
    if not isinstance(message, dict):
        raise DapProtocolError(f"body is not an object: {body[:60]!r}")
    return message


class DapConnection:
    """One side (the client's) of one connection: numbers, matching, handshake.

    Attributes:
        phase: Where the handshake is.
        capabilities: What the debugger said it can do, after `initialize`.
        failure: Why `phase` is FAILED.
    """

    def __init__(self, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """Start before the first byte."""
        self.phase = Phase.NEW
        self.capabilities: JsonObject = {}
        self.failure = ""
        self._decoder = FrameDecoder(max_body_bytes)
        self._seq = 0
        self._pending: dict[int, str] = {}
        self._forgotten: dict[int, str] = {}
        self._attach_answered = False
        self._configuration_answered = False

    @property
    def pending(self) -> tuple[int, ...]:
        """Sequence numbers of the requests that wait for an answer."""
        return tuple(self._pending)

    def may_send(self, command: str) -> bool:
        """Say whether the protocol allows `command` now."""
        if self.phase is Phase.READY:
            return command not in _HANDSHAKE
        return command in _ALLOWED[self.phase]

    def request(self, command: str, arguments: JsonObject | None = None) -> tuple[int, bytes]:
        """Return the sequence number and the bytes of a request.

        Raises:
            DapStateError: the handshake does not allow this request now.
        """
        if not self.may_send(command):
            raise DapStateError(f"{command} is not allowed while {self.phase.value}")
        self._seq += 1
        message: JsonObject = {"seq": self._seq, "type": "request", "command": command}
        if arguments is not None:
            message["arguments"] = arguments
        data = encode(message)
        self._pending[self._seq] = command
        self.phase = _ON_SEND.get(command, self.phase)
        return self._seq, data

    def answer(
        self, request: Request, *, body: JsonObject | None = None, error: str | None = None
    ) -> bytes:
        """Return the bytes that answer a reverse request (`error` makes it a refusal)."""
        self._seq += 1
        message: JsonObject = {
            "seq": self._seq,
            "type": "response",
            "request_seq": request.seq,
            "command": request.command,
            "success": error is None,
        }
        if error is not None:
            message["message"] = error
        if body is not None:
            message["body"] = body
        return encode(message)

    def forget(self, seq: int) -> None:
        """Give up waiting for an answer; should it come, it is marked `late`."""
        command = self._pending.pop(seq, None)
        if command is None:
            return
        self._forgotten[seq] = command
        while len(self._forgotten) > MAX_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def receive(self, data: bytes) -> list[Message]:
        """Take bytes from the peer and return the messages they complete.

        Raises:
            DapProtocolError: the bytes are not the protocol, or answer what nobody asked.
        """
        return [self._classify(raw) for raw in self._decoder.feed(data)]

    def end_of_stream(self) -> tuple[int, ...]:
        """Note that no more bytes will come, and return the requests left without an answer."""
        self.phase = Phase.CLOSED
        unanswered = tuple(self._pending)
        self._pending.clear()
        return unanswered

    def _classify(self, raw: JsonObject) -> Message:
        kind = raw.get("type")
        if kind == "response":
            return self._response(raw)
        if kind == "event":
            return self._event(raw)
        if kind == "request":
            return Request(_int(raw, "seq"), _text(raw, "command"), _object(raw, "arguments"))
        raise DapProtocolError(f"unknown message type {kind!r}")

    def _event(self, raw: JsonObject) -> Event:
        event = Event(_text(raw, "event"), _object(raw, "body"))
        if event.event == "initialized" and self.phase is Phase.ATTACHING:
            self.phase = Phase.CONFIGURING
        return event

    def _response(self, raw: JsonObject) -> Response:
        seq = _int(raw, "request_seq")
        late = seq in self._forgotten
        command = self._forgotten.pop(seq, None) if late else self._pending.pop(seq, None)
        if command is None:
            raise DapProtocolError(f"answer to request {seq}, which was never sent")
        message = raw.get("message")
        response = Response(
            request_seq=seq,
            command=command,
            success=raw.get("success") is True,
            body=_object(raw, "body"),
            message=message if isinstance(message, str) else "",
            late=late,
        )
        self._advance(response)
        return response

    def _advance(self, response: Response) -> None:
        if response.command not in _HANDSHAKE or self.phase in (Phase.LEAVING, Phase.CLOSED):
            return
        if not response.success:
            self.phase = Phase.FAILED
            self.failure = response.error_text()
        elif response.command == "initialize":
            self.capabilities = response.body
            self.phase = Phase.GREETED
        else:
            self._configuration_answered |= response.command == "configurationDone"
            self._attach_answered |= response.command != "configurationDone"
            if self._attach_answered and self._configuration_answered:
                self.phase = Phase.READY


def _int(raw: JsonObject, key: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DapProtocolError(f"{key} must be a number, not {value!r}")
    return value


def _text(raw: JsonObject, key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise DapProtocolError(f"{key} must be a string, not {value!r}")
    return value


def _object(raw: JsonObject, key: str) -> JsonObject:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}
