"""OTLP requests through Python's `http.client`, with the retries that OTLP asks for."""

import gzip
import http.client
import random
import ssl
import time
import zlib
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from autoinstrument import __version__
from autoinstrument.export.transport import MOST_ANSWER, SIGNALS, Variables
from autoinstrument.native import Flag

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_FIRST_BACKOFF_S: Final = 1.0


class PlainJson:
    """One kept connection for each signal, and the retries that OTLP asks for."""

    name = "http.client"

    def __init__(self, variables: Variables) -> None:
        """Read the variables now, so that a wrong one is told at the start."""
        self._hurry = Flag()
        self._targets = {signal: _Target(variables, signal) for signal in SIGNALS}

    def send(self, signal: str, payload: Any, until: float) -> str:
        """Send, again after 1, 2, 4... seconds while the answer says that it may help."""
        target = self._targets[signal]
        until = min(until, time.monotonic() + target.timeout_s)
        body = target.compress(payload)
        backoff_s = _FIRST_BACKOFF_S
        while True:
            trouble, wait_s = target.post(body, until)
            if wait_s is None:
                return trouble
            pause_s = wait_s or backoff_s * random.uniform(0.8, 1.2)  # jitter
            if pause_s > until - time.monotonic() or self._hurry.is_set():
                return trouble
            self._hurry.wait(pause_s)
            backoff_s *= 2

    def hurry(self) -> None:
        """Make no further attempts."""
        self._hurry.set()

    def close(self) -> None:
        """Close what is kept."""
        for target in self._targets.values():
            target.close()


class _Target:
    """One address."""

    def __init__(self, variables: Variables, signal: str) -> None:
        self._url: SplitResult = urlsplit(variables.url(signal))
        self.timeout_s = variables.timeout_s(signal)
        self._compression = variables.compression(signal)
        self._headers = {
            "content-type": "application/json",
            "user-agent": f"asyncscope/{__version__}",
            **({"content-encoding": self._compression} if self._compression else {}),
            **variables.headers(signal),
        }
        self._tls = _tls(variables, signal) if self._url.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def compress(self, body: bytes) -> bytes:
        if self._compression == "gzip":
            return gzip.compress(body, compresslevel=6)
        return zlib.compress(body) if self._compression == "deflate" else body

    def post(self, body: bytes, until: float) -> tuple[str, float | None]:
        """Return what went wrong, and when to try again (None: not at all, 0: as usual)."""
        fresh = self._connection is None
        try:
            return self._attempt(body, until)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if fresh:
                return f"{type(exc).__name__}: {exc}", 0.0
        try:  # a kept connection may have been closed by the other side meanwhile
            return self._attempt(body, until)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            return f"{type(exc).__name__}: {exc}", 0.0

    def _attempt(self, body: bytes, until: float) -> tuple[str, float | None]:
        left_s = until - time.monotonic()
        if left_s <= 0:
            return "no answer in time", None
        connection = self._connection or self._connect(left_s)
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        path = self._url.path or "/"
        if self._url.query:
            path += "?" + self._url.query
        connection.request("POST", path, body, self._headers)
        if connection.sock is not None:
            connection.sock.settimeout(max(0.01, until - time.monotonic()))
        response = connection.getresponse()
        response.read(MOST_ANSWER)
        if response.will_close or not response.isclosed():
            self.close()
        if 200 <= response.status < 300:
            return "", None
        trouble = f"{response.status} {response.reason}"
        if response.status not in _RETRYABLE:
            return trouble, None
        return trouble, _seconds(response.headers.get("retry-after", ""))

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        host = self._url.hostname or "localhost"
        if self._tls is not None:
            self._connection = http.client.HTTPSConnection(
                host, self._url.port, timeout=timeout_s, context=self._tls
            )
        else:
            self._connection = http.client.HTTPConnection(host, self._url.port, timeout=timeout_s)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tls(variables: Variables, signal: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=variables.get(signal, "CERTIFICATE") or None)
    certificate = variables.get(signal, "CLIENT_CERTIFICATE")
    if certificate:
        context.load_cert_chain(certificate, variables.get(signal, "CLIENT_KEY") or None)
    return context


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
