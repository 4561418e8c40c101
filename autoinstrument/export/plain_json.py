"""OTLP requests through Python's `http.client`, with the retries that OTLP asks for."""

import random
import ssl
import time
from typing import Any, Final

from autoinstrument.export.connection import FAILURES, Connection
from autoinstrument.export.transport import SIGNALS, Variables
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
            target.connection.close()


class _Target:
    """One address."""

    def __init__(self, variables: Variables, signal: str) -> None:
        self.timeout_s = variables.timeout_s(signal)
        self._compression = variables.compression(signal)
        self._headers = variables.headers(signal)
        if self._compression:
            self._headers.setdefault("content-encoding", self._compression)
        tls = _tls(variables, signal) if variables.wants_tls(signal) else None
        self.connection = Connection(variables.url(signal), tls)

    def compress(self, body: bytes) -> bytes:
        if self._compression == "gzip":
            import gzip

            return gzip.compress(body, compresslevel=6)
        if self._compression == "deflate":
            import zlib

            return zlib.compress(body)
        return body

    def post(self, body: bytes, until: float) -> tuple[str, float | None]:
        """Return what went wrong, and when to try again (None: not at all, 0: as usual)."""
        kept = self.connection.is_open
        try:
            return self._attempt(body, until)
        except FAILURES as exc:
            if not kept:
                return f"{type(exc).__name__}: {exc}", 0.0
        try:  # a kept connection may have been closed by the other side meanwhile
            return self._attempt(body, until)
        except FAILURES as exc:
            return f"{type(exc).__name__}: {exc}", 0.0

    def _attempt(self, body: bytes, until: float) -> tuple[str, float | None]:
        status, reason, retry_after = self.connection.post(body, self._headers, until)
        if 200 <= status < 300:
            return "", None
        trouble = f"{status} {reason}"
        if status not in _RETRYABLE:
            return trouble, None
        return trouble, _seconds(retry_after)


def _tls(variables: Variables, signal: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=variables.get(signal, "CERTIFICATE") or None)
    certificate = variables.get(signal, "CLIENT_CERTIFICATE")
    if certificate:
        context.load_cert_chain(certificate, variables.get(signal, "CLIENT_KEY") or None)
    return context


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
