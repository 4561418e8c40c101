"""The HTTP client inside the official OTLP/JSON exporters (the extra `otlp`).

Used where the program has loaded it. It needs an SDK as new as itself, and to load both takes 0.2 s
of processor time.
"""

import logging
import time
from importlib import import_module
from typing import Any, Final

from autoinstrument.export.transport import MOST_ANSWER

_CLIENTS: Final = {
    "traces": ("opentelemetry.exporter.otlp.json.http.trace_exporter", "OTLPSpanExporter"),
    "metrics": ("opentelemetry.exporter.otlp.json.http.metric_exporter", "OTLPMetricExporter"),
    "logs": ("opentelemetry.exporter.otlp.json.http._log_exporter", "OTLPLogExporter"),
}


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
        for signal, (module, name) in _CLIENTS.items():
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
