"""The HTTP client of the official OTLP exporters, for JSON of ours (the extra `otlp`).

It stands apart from the exporters since 0.66; they need the SDK, and take 0.2 s of processor time
to load. The client decides what is sent again and when. Below it, plain HTTP takes `http.client`,
which urllib3 would take, as loading urllib3 costs five times as much; TLS is urllib3's.
"""

import logging
import time
from importlib import import_module
from typing import Any, Final

from autoinstrument.export.connection import FAILURES, Connection
from autoinstrument.export.transport import MOST_ANSWER, Variables

_KINDS: Final = {"traces": "spans", "metrics": "metrics", "logs": "logs"}


class OfficialJson:
    """One official client for each signal. Verified with 0.66b1.

    Compression, time limit and retries are its own, over TLS also connections and certificates.
    """

    name = "opentelemetry-exporter-otlp-common"

    def __init__(self, variables: Variables) -> None:
        """Make the clients as the variables say; nothing is connected yet.

        Raises:
            ImportError: the package is not installed, or urllib3 is not and TLS is wanted.
            AttributeError: it is another version inside.
            TypeError: the same.
        """
        library = import_module("opentelemetry.exporter.otlp.common.http")
        make, compression = library._OTLPHTTPClient, library.Compression  # no public way
        self._clients: dict[str, Any] = {
            signal: make(
                transport=_transport(variables, signal),
                endpoint=variables.url(signal),
                kind=kind,
                timeout=variables.timeout_s(signal),
                compression=compression(variables.compression(signal) or "none"),
                headers=variables.headers(signal),
                logger=silent_logger(),  # failures are told once, by the sender
            )
            for signal, kind in _KINDS.items()
        }

    def send(self, signal: str, payload: Any, until: float) -> str:
        """Send; the client's own time limit is lowered to what is left."""
        client = self._clients[signal]
        client._timeout = max(0.05, min(client._timeout, until - time.monotonic()))
        result = client.export(payload)
        if result.success and result.status_code < 300:  # a redirection counts as success there
            return ""
        return str(result.reason or result.error or result.status_code or "no answer in time")

    def hurry(self) -> None:
        """Make waiting clients give up after the attempt that runs."""
        for client in self._clients.values():
            client._shutdown_event.set()

    def close(self) -> None:
        """Close what is kept."""
        for client in self._clients.values():
            # Emptying the manager of urllib3 2.8 leaves idle sockets to the collector, which warns.
            manager = getattr(client._transport, "_pool", None)
            for pool in list(getattr(getattr(manager, "pools", None), "_container", {}).values()):
                pool.close()
            client._transport.close()


def _transport(variables: Variables, signal: str) -> Any:
    if not variables.wants_tls(signal):
        return _PlainTransport(variables.url(signal))
    certificate = variables.get(signal, "CLIENT_CERTIFICATE")
    key = variables.get(signal, "CLIENT_KEY")
    made = import_module("opentelemetry.exporter.http.transport._urllib3").Urllib3HTTPTransport(
        verify=variables.get(signal, "CERTIFICATE") or True,
        cert=(certificate, key) if certificate and key else certificate or None,
    )
    made._pool = _ShortAnswers(made._pool)
    return made


class _PlainTransport:
    """What the official client asks for requests, without TLS."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)

    def request(
        self, method: str, url: str, *, headers: dict[str, str], timeout: float, data: bytes
    ) -> "_Result":
        try:
            answer = self._connection.post(data, headers, time.monotonic() + timeout)
        except Exception as exc:
            return _Result(None, None, exc, "")
        return _Result(answer.status, answer.reason, None, answer.retry_after)

    def is_connection_error(self, exception: Exception | None) -> bool:
        return isinstance(exception, FAILURES)

    def close(self) -> None:
        self._connection.close()


class _Result:
    """What the official client wants to know of an answer."""

    def __init__(
        self, status_code: int | None, reason: str | None, error: Exception | None, retry_after: str
    ) -> None:
        self.status_code = status_code
        self.reason = reason
        self.error = error
        self._retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"retry-after": self._retry_after} if self._retry_after else {}


class _ShortAnswers:
    """A pool of urllib3 that reads the beginning of an answer only: it may have no end."""

    def __init__(self, pool: Any) -> None:
        self._inner = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def request(self, **options: Any) -> Any:
        response = self._inner.request(**{**options, "preload_content": False})
        response.read(MOST_ANSWER, cache_content=True)
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
