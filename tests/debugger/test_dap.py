"""The protocol part, played without any socket."""

from __future__ import annotations

import json

import pytest

from autoinstrument.debugger.dap import (
    DapConnection,
    Event,
    FrameDecoder,
    JsonObject,
    Phase,
    Request,
    Response,
    encode,
)
from autoinstrument.debugger.errors import DapProtocolError, DapStateError


def answer(request_seq: int, command: str, *, success: bool = True, **extra: object) -> bytes:
    message: JsonObject = {
        "seq": 100 + request_seq,
        "type": "response",
        "request_seq": request_seq,
        "command": command,
        "success": success,
    }
    return encode(message | extra)


def event(name: str, body: JsonObject | None = None) -> bytes:
    return encode({"seq": 1, "type": "event", "event": name, "body": body or {}})


def phase(dap: DapConnection) -> Phase:
    """Hide from the type checker that nothing was assigned in between."""
    return dap.phase


def ready_connection() -> DapConnection:
    dap = DapConnection()
    dap.request("initialize", {})
    dap.receive(answer(1, "initialize", body={"supportsLogPoints": True}))
    dap.request("attach", {"justMyCode": True})
    dap.receive(event("initialized"))
    dap.request("configurationDone")
    dap.receive(answer(3, "configurationDone") + answer(2, "attach"))
    assert phase(dap) is Phase.READY
    return dap


def test_encode_counts_bytes_not_characters() -> None:
    data = encode({"text": "späte Tasks ✓"})
    header, _, body = data.partition(b"\r\n\r\n")
    assert header == b"Content-Length: %d" % len(body)
    assert json.loads(body) == {"text": "späte Tasks ✓"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_decoder_accepts_any_cut(size: int) -> None:
    stream = encode({"a": 1}) + encode({"b": "ü"}) + encode({"c": [1, 2]})
    decoder = FrameDecoder()
    found: list[JsonObject] = []
    for start in range(0, len(stream), size):
        found += decoder.feed(stream[start : start + size])
    assert found == [{"a": 1}, {"b": "ü"}, {"c": [1, 2]}]
    assert decoder.pending_bytes == 0


def test_decoder_accepts_further_header_fields() -> None:
    body = b"{}"
    data = b"Content-Type: x\r\ncontent-length: 2\r\n\r\n" + body
    assert FrameDecoder().feed(data) == [{}]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a header line"),
        (b"Content-Length: many\r\n\r\n{}", "not a number"),
        (b"Content-Type: json\r\n\r\n{}", "without Content-Length"),
        (b"Content-Length: 2\r\n\r\n[]", "not an object"),
        (b"Content-Length: 2\r\n\r\n{{", "not JSON"),
        (b"Content-Length: 999999999\r\n\r\n", "exceeds the limit"),
        (b"x" * 9000, "no end of header"),
    ],
    ids=["http", "length", "no-length", "array", "json", "huge", "endless"],
)
def test_decoder_refuses_what_is_not_the_protocol(data: bytes, word: str) -> None:
    with pytest.raises(DapProtocolError, match=word):
        FrameDecoder().feed(data)


def test_handshake_through_the_adapter_answers_attach_last() -> None:
    dap = DapConnection()
    assert dap.request("initialize", {"adapterID": "debugpy"})[0] == 1
    assert phase(dap) is Phase.GREETING
    dap.receive(answer(1, "initialize", body={"supportsLogPoints": True}))
    assert phase(dap) is Phase.GREETED
    assert dap.capabilities == {"supportsLogPoints": True}
    dap.request("attach", {"justMyCode": True})
    dap.receive(event("debugpyWaitingForServer"))
    assert phase(dap) is Phase.ATTACHING
    dap.receive(event("initialized"))
    assert phase(dap) is Phase.CONFIGURING
    dap.request("setBreakpoints", {})
    dap.request("configurationDone")
    dap.receive(answer(4, "configurationDone"))
    assert phase(dap) is Phase.FINISHING
    dap.receive(answer(2, "attach"))
    assert phase(dap) is Phase.READY


def test_handshake_with_pydevd_itself_answers_attach_first() -> None:
    dap = DapConnection()
    dap.request("pydevdAuthorize", {})
    dap.receive(answer(1, "pydevdAuthorize"))
    dap.request("initialize", {})
    dap.receive(answer(2, "initialize"))
    dap.request("attach", {})
    dap.receive(answer(3, "attach") + event("initialized"))
    assert phase(dap) is Phase.CONFIGURING
    dap.request("configurationDone")
    dap.receive(answer(4, "configurationDone"))
    assert phase(dap) is Phase.READY


def test_refused_attach_fails_the_handshake_with_the_reason() -> None:
    dap = DapConnection()
    dap.request("initialize", {})
    dap.receive(answer(1, "initialize"))
    dap.request("attach", {"justMyCode": True})
    dap.receive(answer(2, "attach", success=False, message="already being debugged"))
    assert phase(dap) is Phase.FAILED
    assert dap.failure == "already being debugged"
    assert not dap.may_send("setBreakpoints")
    assert dap.may_send("disconnect")


@pytest.mark.parametrize("command", ["attach", "threads", "configurationDone", "evaluate"])
def test_nothing_but_initialize_may_open(command: str) -> None:
    dap = DapConnection()
    with pytest.raises(DapStateError, match=f"{command} is not allowed while new"):
        dap.request(command)
    assert dap.pending == ()


def test_handshake_happens_once() -> None:
    dap = ready_connection()
    with pytest.raises(DapStateError):
        dap.request("initialize", {})
    assert dap.may_send("stackTrace")


def test_answers_find_their_request_in_any_order() -> None:
    dap = ready_connection()
    first, _ = dap.request("threads")
    second, _ = dap.request("stackTrace", {"threadId": 1})
    messages = dap.receive(answer(second, "stackTrace") + answer(first, "threads"))
    assert [(m.request_seq, m.command) for m in messages if isinstance(m, Response)] == [
        (second, "stackTrace"),
        (first, "threads"),
    ]
    assert dap.pending == ()


def test_forgotten_request_gets_a_late_answer_and_no_error() -> None:
    dap = ready_connection()
    seq, _ = dap.request("threads")
    dap.forget(seq)
    (late,) = dap.receive(answer(seq, "threads"))
    assert isinstance(late, Response)
    assert late.late
    with pytest.raises(DapProtocolError, match="never sent"):
        dap.receive(answer(seq, "threads"))


def test_answer_to_nothing_is_an_error() -> None:
    with pytest.raises(DapProtocolError, match="answer to request 77"):
        DapConnection().receive(answer(77, "threads"))


def test_failed_answer_prefers_the_formatted_error() -> None:
    dap = ready_connection()
    seq, _ = dap.request("evaluate", {"expression": "1/0"})
    body = {"error": {"format": "ZeroDivisionError: division by zero"}}
    (found,) = dap.receive(answer(seq, "evaluate", success=False, message="x", body=body))
    assert isinstance(found, Response)
    assert found.error_text() == "ZeroDivisionError: division by zero"


def test_reverse_request_is_answered_with_its_number() -> None:
    dap = ready_connection()
    data = encode({"seq": 9, "type": "request", "command": "runInTerminal", "arguments": {"a": 1}})
    (request,) = dap.receive(data)
    assert request == Request(9, "runInTerminal", {"a": 1})
    (sent,) = FrameDecoder().feed(dap.answer(request, error="not here"))
    assert sent["request_seq"] == 9
    assert sent["success"] is False
    assert sent["message"] == "not here"


def test_end_of_stream_names_the_unanswered() -> None:
    dap = ready_connection()
    seq, _ = dap.request("threads")
    assert dap.end_of_stream() == (seq,)
    assert phase(dap) is Phase.CLOSED
    with pytest.raises(DapStateError, match="while closed"):
        dap.request("threads")


def test_events_come_through_with_their_body() -> None:
    dap = ready_connection()
    assert dap.receive(event("stopped", {"threadId": 1})) == [Event("stopped", {"threadId": 1})]


@pytest.mark.parametrize(
    "message",
    [{"type": "noise"}, {"type": "event"}, {"type": "response", "request_seq": "1"}, {}],
    ids=["type", "event", "response", "empty"],
)
def test_malformed_messages_are_refused(message: JsonObject) -> None:
    with pytest.raises(DapProtocolError):
        ready_connection().receive(encode(message))
