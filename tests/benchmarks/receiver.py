"""A local OTLP/HTTP receiver in a process of its own, which counts spans.

`python receiver.py` prints its port and serves until its stdin ends. JSON is decoded by name; of
protobuf only the lengths are followed, which is enough to count.
"""

import gzip
import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from types import TracebackType
from typing import Any


class Receiver:
    """Starts the process; to be used as a context manager."""

    def __enter__(self) -> "Receiver":
        """Start and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """End it."""
        self._process.communicate(timeout=10)

    def take(self) -> dict[str, int]:
        """Return the counts since the last call: requests, bytes, spans, errors."""
        with urllib.request.urlopen(self.endpoint + "/take", timeout=10) as response:
            counts: dict[str, int] = json.load(response)
        return counts


def spans_in_json(body: bytes) -> int:
    """Count the spans of an ExportTraceServiceRequest in JSON."""
    request = json.loads(body)
    scopes = [part for group in request["resourceSpans"] for part in group["scopeSpans"]]
    return sum(len(part["spans"]) for part in scopes)


def spans_in_protobuf(body: bytes) -> int:
    """Count the spans of an ExportTraceServiceRequest: fields 1, 2 and 2 of its messages."""
    scopes = [part for group in _messages(body, 1) for part in _messages(group, 2)]
    return sum(1 for part in scopes for _ in _messages(part, 2))


def _messages(body: bytes, wanted: int) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        key, at = _varint(body, at)
        number, kind = key >> 3, key & 7
        if kind == 2:
            size, at = _varint(body, at)
            if number == wanted:
                yield body[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(body, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    counts: dict[str, int]

    def do_GET(self) -> None:
        body = json.dumps(self.counts).encode()
        self.counts.update(dict.fromkeys(self.counts, 0))
        self._answer(body, "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.counts["requests"] += 1
        self.counts["bytes"] += len(body)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        kind = self.headers.get("Content-Type") or "application/x-protobuf"
        if self.path.endswith("/v1/traces"):
            count = spans_in_json if "json" in kind else spans_in_protobuf
            try:
                self.counts["spans"] += count(body)
            except (KeyError, ValueError, IndexError):
                self.counts["errors"] += 1
        self._answer(b"{}" if "json" in kind else b"", kind)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def main() -> None:
    """Serve until stdin ends."""
    _Handler.counts = {"requests": 0, "bytes": 0, "spans": 0, "errors": 0}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
