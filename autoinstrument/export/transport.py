"""How OTLP requests leave: what a transport is, its settings, and which one is used for JSON.

`plain_json.py` needs Python alone, `official_json.py` the official client. For both the
`OTEL_EXPORTER_OTLP_*` variables are read here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from autoinstrument import __version__

SIGNALS: Final = ("traces", "metrics", "logs")
MOST_ANSWER: Final = 1 << 16


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

    def wants_tls(self, signal: str) -> bool:
        """Whether the address for a signal is one of `https`."""
        return urlsplit(self.url(signal)).scheme == "https"

    def headers(self, signal: str) -> dict[str, str]:
        """Return ours and those that the user wants, with percent-encoded values decoded."""
        found = {"content-type": "application/json", "user-agent": f"asyncscope/{__version__}"}
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
    """Return the official client if it is installed and as expected, else ours."""
    variables = Variables(environ, say)
    try:
        from autoinstrument.export.official_json import OfficialJson

        return OfficialJson(variables)
    except (ImportError, AttributeError, TypeError):
        pass  # absent, or another version than the one that was verified
    from autoinstrument.export.plain_json import PlainJson

    return PlainJson(variables)
