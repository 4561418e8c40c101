"""Backends that behave badly, each on a port of its own."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]


def _request(connection: socket.socket) -> None:
    """Read one HTTP request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    wanted = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < wanted:
        more = connection.recv(65536)
        if not more:
            return
        body += more


def silent(connection: socket.socket) -> None:
    """Take the request and never answer."""
    _request(connection)
    time.sleep(600)


def deaf(connection: socket.socket) -> None:
    """Accept and read nothing."""
    time.sleep(600)


def slow(connection: socket.socket) -> None:
    """Answer a byte a second."""
    _request(connection)
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n":
        connection.sendall(bytes([byte]))
        time.sleep(1)


def garbage(connection: socket.socket) -> None:
    """Answer something that is no HTTP."""
    _request(connection)
    connection.sendall(b"\x00\xff\r\n\r\n" * 100_000)


def endless(connection: socket.socket) -> None:
    """Answer well, without end."""
    _request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def broken(connection: socket.socket) -> None:
    """Answer with a server's error."""
    _request(connection)
    connection.sendall(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")


def busy(connection: socket.socket) -> None:
    """Ask to come again in a minute."""
    _request(connection)
    connection.sendall(b"HTTP/1.1 429 No\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n")


def hanging_up(connection: socket.socket) -> None:
    """Close in the middle of the answer."""
    _request(connection)
    connection.sendall(b"HTTP/1.1 2")


def once(connection: socket.socket) -> None:
    """Answer one request, and be gone."""
    _request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def sound(connection: socket.socket) -> None:
    """Answer as one should."""
    while True:
        _request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@contextmanager
def backend(behaviour: Behaviour, *, first: int = 1_000_000) -> Iterator[str]:
    """Serve on a free port; after `first` connections the port is closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one(connection: socket.socket) -> None:
        try:
            behaviour(connection)
        except OSError:
            pass  # the other side has gone
        finally:
            connection.close()

    def serve() -> None:
        for _ in range(first):
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
