"""Requests to one address through Python's `http.client`, for whoever decides about retries."""

import http.client
import ssl
import time
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from autoinstrument.export.transport import MOST_ANSWER

FAILURES = (OSError, http.client.HTTPException)
"""What `Connection.post` raises when there is no answer."""


class Answer(NamedTuple):
    """What a backend said; `retry_after` is the header of this name, or empty."""

    status: int
    reason: str
    retry_after: str


class Connection:
    """One kept connection: opened by the first request, and by the next one after a failure."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        """Open nothing yet; `tls` is needed for `https` alone."""
        self._url: SplitResult = urlsplit(url)
        self._tls = tls
        self._open: http.client.HTTPConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was kept; the other side may have closed it meanwhile."""
        return self._open is not None

    def post(self, body: bytes, headers: dict[str, str], until: float) -> Answer:
        """Send one request and read the beginning of the answer, before the monotonic time `until`.

        Raises:
            OSError: there was no answer, or not in time.
            http.client.HTTPException: what came was no answer.
        """
        try:
            return self._posted(body, headers, until)
        except FAILURES:
            self.close()
            raise

    def _posted(self, body: bytes, headers: dict[str, str], until: float) -> Answer:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        connection = self._open = self._open or self._connect(left_s)
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        path = self._url.path or "/"
        if self._url.query:
            path += "?" + self._url.query
        connection.request("POST", path, body, headers)
        if connection.sock is not None:
            connection.sock.settimeout(max(0.01, until - time.monotonic()))
        response = connection.getresponse()
        response.read(MOST_ANSWER)
        if response.will_close or not response.isclosed():
            self.close()
        retry_after = response.headers.get("retry-after", "")
        return Answer(response.status, response.reason, retry_after)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        host = self._url.hostname or "localhost"
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, self._url.port, timeout=timeout_s)
        return http.client.HTTPSConnection(
            host, self._url.port, timeout=timeout_s, context=self._tls
        )

    def close(self) -> None:
        """Close it; the next request opens another one."""
        if self._open is not None:
            self._open.close()
            self._open = None
