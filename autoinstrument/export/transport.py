"""OTLP over HTTP as JSON: the official client where it is installed, else `http.client`.

The official one (`opentelemetry-exporter-otlp-json-http`) needs an SDK as new as itself, which
a program may not have; spans must leave with the core dependencies alone. Both read the same
`OTEL_EXPORTER_OTLP_*` variables; `docs/opentelemetry.md` says how they differ.
"""

import gzip
import http.client
import logging
import os
import random
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from autoinstrument.export.resource import version
from autoinstrument.native import Flag

SIGNALS: Final = ("traces", "metrics", "logs")
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_FIRST_BACKOFF_S: Final = 1.0
_MOST_ANSWER: Final = 1 << 16
_OFFICIAL: Final = {
    "traces": ("opentelemetry.exporter.otlp.json.http.trace_exporter", "OTLPSpanExporter"),
    "metrics": ("opentelemetry.exporter.otlp.json.http.metric_exporter", "OTLPMetricExporter"),
    "logs": ("opentelemetry.exporter.otlp.json.http._log_exporter", "OTLPLogExporter"),
}


class Transport(Protocol):
    """Takes requests to the backend; called in one thread at a time."""

    name: str

    def send(self, signal: str, payload: Any, until: float) -> str:
        """Send one request before the monotonic time `until`; "" or what went wrong."""

    def hurry(self) -> None:
        """Stop waiting between attempts: the process ends. Called in another thread."""

    def close(self) -> None:
        """Close connections; the next `send` opens them again, except after `hurry`."""


class Variables:
    """The `OTEL_EXPORTER_OTLP_*` variables, those of one signal before the general ones."""

    def __init__(self, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Keep the environment; wrong values are told to `say` when they are read."""
        self._environ = environ
        self._say = say

    def get(self, signal: str, name: str) -> str:
        """Return a value; empty when unset or blank."""
        own = self._environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
        return own or self._environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()

    def url(self, signal: str) -> str:
        """Return the full address for a signal."""
        own = self._environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
        if own:
            return own
        base = self._environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
        return f"{(base or 'http://localhost:4318').rstrip('/')}/v1/{signal}"

    def headers(self, signal: str) -> dict[str, str]:
        """Return the headers that the user wants, with percent-encoded values decoded."""
        found = {}
        for item in self.get(signal, "HEADERS").split(","):
            key, equals, value = item.partition("=")
            if equals and key.strip():
                found[key.strip().lower()] = unquote(value.strip())
        return found

    def timeout_s(self, signal: str) -> float:
        """Return the time for one request with all its attempts, in seconds as in the SDK."""
        value = self.get(signal, "TIMEOUT") or "10"
        try:
            seconds = float(value)
            if seconds > 0:
                return seconds
        except ValueError:
            pass
        self._say(
            f"OTEL_EXPORTER_OTLP_TIMEOUT={value} is no time; accepted is a number of seconds "
            "above 0; using 10"
        )
        return 10.0

    def compression(self, signal: str) -> str:
        """Return `gzip`, `deflate` or an empty string."""
        value = self.get(signal, "COMPRESSION").lower()
        if value in {"", "none"}:
            return ""
        if value in {"gzip", "deflate"}:
            return value
        self._say(
            f"OTEL_EXPORTER_OTLP_COMPRESSION={value} is not known; accepted are gzip, deflate, "
            "none; using none"
        )
        return ""


def json_transport(environ: Mapping[str, str], say: Callable[[str], None]) -> Transport:
    """Return the official client if it is installed and as expected, else our own."""
    if _ours(environ) == _ours(os.environ):  # the official client reads the real ones
        try:
            return OfficialJson()
        except (ImportError, AttributeError, TypeError):
            pass  # absent, or another version than the one that was verified
    return PlainJson(Variables(environ, say))


def _ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if k.startswith("OTEL_EXPORTER_OTLP_")}


class OfficialJson:
    """The HTTP client inside the official JSON exporters, fed with our encoding.

    Verified with 0.66b1. Endpoint, headers, TLS, compression, time limit and retries are its own.
    """

    name = "opentelemetry-exporter-otlp-json-http"

    def __init__(self) -> None:
        """Build one client for each signal.

        Raises:
            ImportError: the package is not installed, or not for this SDK.
            AttributeError: it is another version inside.
        """
        self._clients: dict[str, Any] = {}
        for signal, (module, name) in _OFFICIAL.items():
            client = getattr(import_module(module), name)()._client  # no public way
            if not callable(client.export) or not callable(client.shutdown):
                raise AttributeError(name)
            client._logger = silent_logger()  # failures are told once, by the sender
            if hasattr(client._transport, "_pool"):  # of urllib3, which it uses by default
                client._transport._pool = _ShortAnswers(client._transport._pool)
            self._clients[signal] = client

    def send(self, signal: str, payload: Any, until: float) -> str:
        """Send; the client's own time limit is lowered to what is left."""
        client = self._clients[signal]
        client._timeout = max(0.05, min(client._timeout, until - time.monotonic()))
        result = client.export(payload)
        if result.success:
            return ""
        return str(result.reason or result.error or result.status_code or "no answer in time")

    def hurry(self) -> None:
        """Make waiting clients give up after the attempt that runs."""
        for client in self._clients.values():
            event = getattr(client, "_shutdown_event", None)
            if event is not None:
                event.set()

    def close(self) -> None:
        """Empty the pools of connections."""
        for client in self._clients.values():
            # Emptying the manager of urllib3 2.8 leaves idle sockets to the collector, which warns.
            manager = getattr(client._transport, "_pool", None)
            for pool in list(getattr(getattr(manager, "pools", None), "_container", {}).values()):
                pool.close()
            client._transport.close()


class _ShortAnswers:
    """A pool of urllib3 that reads the beginning of an answer only: it may have no end."""

    def __init__(self, pool: Any) -> None:
        self._inner = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def request(self, **options: Any) -> Any:
        response = self._inner.request(**{**options, "preload_content": False})
        response.read(_MOST_ANSWER, cache_content=True)
        if response.isclosed():
            response.release_conn()
        else:
            response.close()
        return response


def silent_logger() -> logging.Logger:
    """Return a logger that says nothing, for official code that would write into the program's."""
    # Not registered, or the program could find it; disabled, since making a log record registers
    # the thread with `threading`.
    logger = logging.Logger("asyncscope.export")  # noqa: LOG001
    logger.disabled = True
    return logger


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
            "user-agent": f"asyncscope/{version()}",
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
        response.read(_MOST_ANSWER)
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
